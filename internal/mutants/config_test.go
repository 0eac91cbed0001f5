package mutants

var ofConfig = []source{}
