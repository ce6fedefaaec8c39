#!/bin/sh
# Runs the shop as three processes behind HAProxy. They share their visitors in
# one Redis, and one fake Emporix. Ctrl-C ends all of it.
#
#	examples/bff/replicas.sh
#
# The shop is on http://127.0.0.1:8080; PORT sets another port. The five ports
# after it are used as well. It needs go, haproxy and redis-server: on Debian,
# apt-get install haproxy redis-server.
set -eu
cd "$(dirname "$0")"

for program in go haproxy redis-server; do
	command -v "$program" >/dev/null || {
		echo "replicas.sh: there is no $program; on Debian: apt-get install haproxy redis-server" >&2
		exit 2
	}
done

port=${PORT:-8080}
export SHOP="127.0.0.1:$port"
export REPLICA_1="127.0.0.1:$((port + 1))" REPLICA_2="127.0.0.1:$((port + 2))" REPLICA_3="127.0.0.1:$((port + 3))"
fake="127.0.0.1:$((port + 4))"
redis_port=$((port + 5))

dir=$(mktemp -d)
started=
end() {
	trap - EXIT INT TERM
	for pid in $started; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$dir"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# await waits until the rest of its arguments succeeds, while the process runs.
await() {
	pid=$1
	shift
	until "$@" >/dev/null 2>&1; do
		kill -0 "$pid" 2>/dev/null || {
			echo "replicas.sh: a program ended before it was ready; is another one using a port from $port to $redis_port?" >&2
			cat "$dir"/*.log >&2
			exit 1
		}
		sleep 0.1
	done
}

go build -o "$dir/shop" .
go build -o "$dir/emporix-fake" github.com/emporix-community/emporix-go/cmd/emporix-fake

redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no --dir "$dir" >"$dir/redis.log" 2>&1 &
redis=$!
started="$started $redis"
"$dir/emporix-fake" -addr "$fake" -addr-file "$dir/fake.addr" -seed seed.json -double-opt-in >"$dir/fake.log" 2>&1 &
api=$!
started="$started $api"
await "$redis" redis-cli -p "$redis_port" ping
await "$api" test -s "$dir/fake.addr"

export EMPORIX_API_HOST="http://$fake"
export EMPORIX_TENANT=acme
export EMPORIX_API_CREDENTIALS_STOREFRONT_CLIENT_ID=storefront
export EMPORIX_API_CREDENTIALS_BACKEND_CLIENT_ID=backend
export EMPORIX_API_CREDENTIALS_BACKEND_SECRET=backend-secret-for-tests

# replica keeps one process of the shop running, and ends it when it is ended itself.
replica() {
	trap 'kill "$shop" 2>/dev/null; wait "$shop" 2>/dev/null; exit' TERM
	trap '' INT # the script ends its children itself
	while :; do
		"$dir/shop" -addr "$2" -url "http://$SHOP" -redis "127.0.0.1:$redis_port" -replica "$1" -demo >"$dir/replica$1" &
		shop=$!
		echo "Replica $1: process $shop on $2"
		wait "$shop" || true
		echo "Replica $1 ended and is started again"
		sleep 0.3
	done
}
replica 1 "$REPLICA_1" &
started="$started $!"
replica 2 "$REPLICA_2" &
started="$started $!"
replica 3 "$REPLICA_3" &
started="$started $!"

haproxy -db -f proxy/haproxy.cfg &
proxy=$!
started="$started $proxy"
for n in 1 2 3; do await "$proxy" grep open "$dir/replica$n"; done
echo "The shop is open: http://$SHOP"
wait "$proxy"
