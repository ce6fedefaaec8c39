module github.com/emporix-community/emporix-go/examples/bff

go 1.26.0

require github.com/emporix-community/emporix-go v0.0.0

require (
	github.com/google/go-querystring v1.2.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
)

replace github.com/emporix-community/emporix-go => ../..
