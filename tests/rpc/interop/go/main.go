// The Go peer for load balancing: `serve NAME CPU` serves t.Pool/Who with health and load reports; `call PLACES CONFIG
// KEY...` calls servers once for each key and prints who has answered.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/balancer/ringhash"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/orca"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type pool struct {
	name string
	load float64
}

// Who waits for as long as the request says, and answers with the server's name.
func (p pool) Who(ctx context.Context, request *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	if recorder := orca.CallMetricsRecorderFromContext(ctx); recorder != nil {
		recorder.SetCPUUtilization(p.load)
		recorder.SetQPS(100)
	}
	if pause, err := time.ParseDuration(request.GetValue()); err == nil {
		time.Sleep(pause)
	}
	return wrapperspb.String(p.name), nil
}

type who interface {
	Who(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

var service = grpc.ServiceDesc{
	ServiceName: "t.Pool",
	HandlerType: (*who)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Who",
		Handler: func(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			request := new(wrapperspb.StringValue)
			if err := decode(request); err != nil {
				return nil, err
			}
			if intercept == nil {
				return srv.(who).Who(ctx, request)
			}
			info := &grpc.UnaryServerInfo{Server: srv, FullMethod: "/t.Pool/Who"}
			return intercept(ctx, request, info, func(ctx context.Context, request any) (any, error) {
				return srv.(who).Who(ctx, request.(*wrapperspb.StringValue))
			})
		},
	}},
}

func serve(name string, load float64) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(orca.CallMetricsServerOption(nil))
	server.RegisterService(&service, pool{name, load})
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	fmt.Println(listener.Addr())
	log.Fatal(server.Serve(listener))
}

func call(places, config string, keys []string) {
	names := manual.NewBuilderWithScheme("pool")
	var state resolver.State
	for _, place := range strings.Split(places, ",") {
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: place}}})
	}
	names.InitialState(state)
	channel, err := grpc.NewClient("pool:///servers", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithResolvers(names), grpc.WithDefaultServiceConfig(config))
	if err != nil {
		log.Fatal(err)
	}
	var answers []string
	for _, key := range keys {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "x-user", key), 30*time.Second)
		answer := new(wrapperspb.StringValue)
		if err := channel.Invoke(ctx, "/t.Pool/Who", wrapperspb.String(""), answer, grpc.WaitForReady(true)); err != nil {
			log.Fatal(err)
		}
		answers = append(answers, answer.GetValue())
		cancel()
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func main() {
	if os.Args[1] == "serve" {
		load, err := strconv.ParseFloat(os.Args[3], 64)
		if err != nil {
			log.Fatal(err)
		}
		serve(os.Args[2], load)
	}
	call(os.Args[2], os.Args[3], os.Args[4:])
}
