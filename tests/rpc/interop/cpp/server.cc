// gRPC's C++ library as a server of interop.proto: prints its port and serves. Argument: compression of responses.
#include <google/protobuf/any.pb.h>
#include <google/protobuf/duration.pb.h>
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "interop.grpc.pb.h"
#include "status.pb.h"

using grpc::ServerContext;
using grpc::ServerUnaryReactor;
using grpc::Status;
using interop::Interop;
using interop::Request;
using interop::Response;

namespace {

constexpr int kLimit = 8 << 20;
const std::string kInitialBin("\x00\xff\x01", 3), kTrailingBin("\xfe\x00", 2);

std::atomic<int> cancelled{0};

Status Failure(const Request& request) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(3);
  google::rpc::Status status;
  status.set_code(request.code());
  status.set_message(request.text());
  status.add_details()->PackFrom(info);
  return Status(static_cast<grpc::StatusCode>(request.code()), request.text(), status.SerializeAsString());
}

std::string Hex(const std::string& bytes) {
  static const char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) text += {digits[byte >> 4], digits[byte & 15]};
  return text;
}

void Respond(const Request& request, Response* response) {
  response->set_text(request.text());
  response->set_payload(request.payload());
  response->set_count(request.text() == "cancelled?" ? cancelled.load() : request.count());
}

class Service final : public Interop::WithCallbackMethod_Unary<Interop::Service> {
  ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, const Request* request, Response* response) override {
    context->AddInitialMetadata("x-initial", "first");
    context->AddInitialMetadata("x-initial-bin", kInitialBin);
    context->AddTrailingMetadata("x-trailing", "last");
    context->AddTrailingMetadata("x-trailing-bin", kTrailingBin);
    auto* reactor = context->DefaultReactor();
    Respond(*request, response);
    for (const auto& entry : context->client_metadata()) {
      const std::string name(entry.first.data(), entry.first.size());
      if (name.rfind("x-", 0) != 0) continue;
      const std::string value(entry.second.data(), entry.second.size());
      const bool binary = name.size() > 4 && name.compare(name.size() - 4, 4, "-bin") == 0;
      (*response->mutable_metadata())[name] = binary ? Hex(value) : value;
    }
    const Status status = request->code() ? Failure(*request) : Status::OK;
    if (request->sleep_ms() > 0) {
      auto alarm = std::make_shared<grpc::Alarm>();
      const auto when = std::chrono::system_clock::now() + std::chrono::milliseconds(request->sleep_ms());
      alarm->Set(when, [alarm, reactor, status](bool) { reactor->Finish(status); });
    } else {
      reactor->Finish(status);
    }
    return reactor;
  }

  Status ServerStream(ServerContext* context, const Request* request, grpc::ServerWriter<Response>* writer) override {
    Response response;
    for (int number = 0; request->count() < 0 || number < request->count(); ++number) {
      response.set_count(number);
      if (context->IsCancelled() || !writer->Write(response)) {
        ++cancelled;
        return Status::CANCELLED;
      }
      if (request->count() < 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return Status::OK;
  }

  Status ClientStream(ServerContext*, grpc::ServerReader<Request>* reader, Response* response) override {
    Request request;
    int count = 0;
    size_t bytes = 0;
    for (; reader->Read(&request); ++count) bytes += request.payload().size();
    response->set_count(count);
    response->set_text(std::to_string(bytes));
    return Status::OK;
  }

  Status Bidi(ServerContext*, grpc::ServerReaderWriter<Response, Request>* stream) override {
    Request request;
    while (stream->Read(&request)) {
      Response response;
      Respond(request, &response);
      stream->Write(response);
    }
    return Status::OK;
  }
};

}  // namespace

int main(int argc, char** argv) {
  Service service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.SetMaxReceiveMessageSize(kLimit);
  if (argc > 1 && !std::strcmp(argv[1], "gzip")) builder.SetDefaultCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  builder.RegisterService(&service);
  auto server = builder.BuildAndStart();
  std::cout << port << std::endl;
  server->Wait();
}
