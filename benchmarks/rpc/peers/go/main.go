// The Go peer: HiScore on grpc-go. Argument: port.
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"

	"catenet.example/hiscore/hiscore"
)

type scores struct {
	hiscore.UnimplementedHiScoreServer
}

func score(points int64) *hiscore.Score {
	return &hiscore.Score{Player: "ann", Points: points}
}

func (scores) Get(context.Context, *hiscore.Query) (*hiscore.Score, error) {
	return score(12345678), nil
}

func (scores) Echo(_ context.Context, blob *hiscore.Blob) (*hiscore.Blob, error) {
	return blob, nil
}

func (scores) Watch(request *hiscore.Stream, stream grpc.ServerStreamingServer[hiscore.Score]) error {
	for points := int64(0); points < int64(request.Count); points++ {
		if err := stream.Send(score(points)); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	hiscore.RegisterHiScoreServer(server, scores{})
	fmt.Println("ready")
	log.Fatal(server.Serve(listener))
}
