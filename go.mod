module piaohao

go 1.26
