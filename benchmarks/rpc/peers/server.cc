// The C++ peer: HiScore on the callback API or on the synchronous one. Arguments: port, "callback" or "sync".
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <memory>
#include <string>

#include "hiscore.grpc.pb.h"

using grpc::CallbackServerContext;
using grpc::ServerContext;
using grpc::ServerUnaryReactor;
using grpc::ServerWriteReactor;
using grpc::ServerWriter;
using grpc::Status;

namespace {

void Fill(hiscore::Score* score, int64_t points) {
  score->set_player("ann");
  score->set_points(points);
}

class Watcher final : public ServerWriteReactor<hiscore::Score> {
 public:
  explicit Watcher(const hiscore::Stream* request) : count_(request->count()) { Next(); }
  void OnWriteDone(bool ok) override { ok ? Next() : Finish(Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  void Next() {
    if (sent_ == count_) {
      Finish(Status::OK);
      return;
    }
    Fill(&score_, sent_++);
    StartWrite(&score_);
  }

  uint32_t count_;
  uint32_t sent_ = 0;
  hiscore::Score score_;
};

class Callback final : public hiscore::HiScore::CallbackService {
  ServerUnaryReactor* Get(CallbackServerContext* context, const hiscore::Query*, hiscore::Score* score) override {
    Fill(score, 12345678);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(Status::OK);
    return reactor;
  }

  ServerUnaryReactor* Echo(CallbackServerContext* context, const hiscore::Blob* in, hiscore::Blob* out) override {
    *out = *in;
    auto* reactor = context->DefaultReactor();
    reactor->Finish(Status::OK);
    return reactor;
  }

  ServerWriteReactor<hiscore::Score>* Watch(CallbackServerContext*, const hiscore::Stream* request) override {
    return new Watcher(request);
  }
};

class Sync final : public hiscore::HiScore::Service {
  Status Get(ServerContext*, const hiscore::Query*, hiscore::Score* score) override {
    Fill(score, 12345678);
    return Status::OK;
  }

  Status Echo(ServerContext*, const hiscore::Blob* in, hiscore::Blob* out) override {
    *out = *in;
    return Status::OK;
  }

  Status Watch(ServerContext*, const hiscore::Stream* request, ServerWriter<hiscore::Score>* writer) override {
    hiscore::Score score;
    for (uint32_t sent = 0; sent < request->count(); ++sent) {
      Fill(&score, sent);
      if (!writer->Write(score)) return Status::CANCELLED;
    }
    return Status::OK;
  }
};

}  // namespace

int main(int argc, char** argv) {
  std::unique_ptr<grpc::Service> service;
  if (std::string(argv[2]) == "sync") {
    service = std::make_unique<Sync>();
  } else {
    service = std::make_unique<Callback>();
  }
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(16 << 20);
  builder.AddListeningPort("127.0.0.1:" + std::string(argv[1]), grpc::InsecureServerCredentials());
  builder.RegisterService(service.get());
  auto server = builder.BuildAndStart();
  std::cout << "ready" << std::endl;
  server->Wait();
}
