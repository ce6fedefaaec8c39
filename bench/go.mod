module github.com/emporix-community/emporix-go/bench

go 1.26.0

require (
	github.com/emporix-community/emporix-go v0.0.0
	github.com/emporix-community/emporix-go/stores/redis v0.0.0
	github.com/hashicorp/go-retryablehttp v0.7.8
	github.com/redis/go-redis/v9 v9.23.0
	golang.org/x/oauth2 v0.37.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/google/go-querystring v1.2.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	go.uber.org/atomic v1.12.0 // indirect
	golang.org/x/sys v0.48.0 // indirect
)

replace (
	github.com/emporix-community/emporix-go => ../
	github.com/emporix-community/emporix-go/stores/redis => ../stores/redis
)
