module piaohao

go 1.26

require (
	github.com/danielgtaylor/huma/v2 v2.39.0
	github.com/google/go-cmp v0.7.0
	pgregory.net/rapid v1.3.0
)
