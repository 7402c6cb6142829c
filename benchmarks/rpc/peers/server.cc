// The C++ peer: HiScore on the callback API, one port.
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <string>

#include "hiscore.grpc.pb.h"

using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using grpc::ServerWriteReactor;
using grpc::Status;

namespace {

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
    score_.set_player("ann");
    score_.set_points(sent_++);
    StartWrite(&score_);
  }

  uint32_t count_;
  uint32_t sent_ = 0;
  hiscore::Score score_;
};

class HiScore final : public hiscore::HiScore::CallbackService {
  ServerUnaryReactor* Get(CallbackServerContext* context, const hiscore::Query*, hiscore::Score* score) override {
    score->set_player("ann");
    score->set_points(12345678);
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

}  // namespace

int main(int argc, char** argv) {
  HiScore service;
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(16 << 20);
  builder.AddListeningPort("127.0.0.1:" + std::string(argv[1]), grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  std::cout << "ready" << std::endl;
  server->Wait();
}
