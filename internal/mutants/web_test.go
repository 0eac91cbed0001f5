package mutants

var ofWeb = []source{}
