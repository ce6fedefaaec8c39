module github.com/emporix-community/emporix-go/internal/adapters

go 1.26.0

require (
	github.com/alexedwards/scs/v2 v2.9.0
	github.com/emporix-community/emporix-go v0.0.0
	github.com/gofiber/storage/memory/v2 v2.1.0
)

require (
	github.com/google/go-querystring v1.2.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
)

replace github.com/emporix-community/emporix-go => ../..
