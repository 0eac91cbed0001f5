package mutants

var ofAlipay = []source{}
