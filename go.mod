module piaohao

go 1.26.0

require rsc.io/qr v0.2.0

require (
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/makiuchi-d/gozxing v0.1.1 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/xerrors v0.0.0-20200804184101-5ec99f83aff1 // indirect
)
