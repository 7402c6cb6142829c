// gRPC's C++ library as a client: makes the calls that it is told to (see harness.proto). Arguments: port, compression.
#include <google/protobuf/repeated_field.h>
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "harness.pb.h"
#include "interop.grpc.pb.h"

using grpc::ClientContext;
using grpc::Status;
using harness::Command;
using harness::Result;
using interop::Interop;
using interop::Request;
using interop::Response;

namespace {

constexpr int kLimit = 8 << 20;

bool ReadCommand(Command* command) {
  uint32_t size;
  if (!std::cin.read(reinterpret_cast<char*>(&size), 4)) return false;
  std::string data(size, '\0');
  return std::cin.read(&data[0], size) && command->ParseFromString(data);
}

void WriteResult(const Result& result) {
  static std::mutex mutex;
  const std::string data = result.SerializeAsString();
  const uint32_t size = data.size();
  std::lock_guard<std::mutex> lock(mutex);
  std::cout.write(reinterpret_cast<const char*>(&size), 4) << data << std::flush;
}

template <typename Metadata>
void Copy(const Metadata& metadata, google::protobuf::RepeatedPtrField<harness::Pair>* pairs) {
  for (const auto& entry : metadata) {
    harness::Pair* pair = pairs->Add();
    pair->set_name(entry.first.data(), entry.first.size());
    pair->set_value(entry.second.data(), entry.second.size());
  }
}

// One call; lives until its result has been written.
struct Call {
  Command command;
  ClientContext context;
  Response response;
  Result result;

  void Prepare() {
    result.set_id(command.id());
    if (command.timeout_ms() > 0) {
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(command.timeout_ms()));
    }
    for (const auto& pair : command.metadata()) context.AddMetadata(pair.name(), pair.value());
  }

  void Finish(const Status& status) {
    result.set_code(status.error_code());
    result.set_message(status.error_message());
    result.set_details(status.error_details());
    Copy(context.GetServerInitialMetadata(), result.mutable_initial());
    Copy(context.GetServerTrailingMetadata(), result.mutable_trailing());
    WriteResult(result);
  }
};

void ServerStream(Interop::Stub* stub, Call* call) {
  auto reader = stub->ServerStream(&call->context, call->command.requests(0));
  bool taken = false;
  while (!taken && reader->Read(&call->response)) {
    *call->result.add_responses() = call->response;
    taken = call->result.responses_size() == call->command.take();
  }
  if (taken) call->context.TryCancel();
  const Status status = reader->Finish();
  call->Finish(taken ? Status::OK : status);
}

void ClientStream(Interop::Stub* stub, Call* call) {
  auto writer = stub->ClientStream(&call->context, &call->response);
  for (const Request& request : call->command.requests()) {
    if (!writer->Write(request)) break;
  }
  writer->WritesDone();
  const Status status = writer->Finish();
  if (status.ok()) *call->result.add_responses() = call->response;
  call->Finish(status);
}

void Bidi(Interop::Stub* stub, Call* call) {
  auto stream = stub->Bidi(&call->context);
  for (const Request& request : call->command.requests()) {
    if (!stream->Write(request) || !stream->Read(&call->response)) break;
    *call->result.add_responses() = call->response;
  }
  stream->WritesDone();
  while (stream->Read(&call->response)) *call->result.add_responses() = call->response;
  call->Finish(stream->Finish());
}

void Unary(Interop::Stub* stub, std::shared_ptr<Call> call) {
  stub->async()->Unary(&call->context, &call->command.requests(0), &call->response, [call](Status status) {
    if (status.ok()) *call->result.add_responses() = call->response;
    call->Finish(status);
  });
}

}  // namespace

int main(int argc, char** argv) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kLimit);
  if (argc > 2 && !std::strcmp(argv[2], "gzip")) arguments.SetCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  if (argc > 2 && !std::strcmp(argv[2], "deflate")) arguments.SetCompressionAlgorithm(GRPC_COMPRESS_DEFLATE);
  auto credentials = grpc::InsecureChannelCredentials();
  auto channel = grpc::CreateCustomChannel(std::string("127.0.0.1:") + argv[1], credentials, arguments);
  auto stub = Interop::NewStub(channel);
  auto call = std::make_shared<Call>();
  while (ReadCommand(&call->command)) {
    call->Prepare();
    const std::string& method = call->command.method();
    if (method == "Unary") {
      Unary(stub.get(), call);
    } else {
      auto* work = method == "ServerStream" ? ServerStream : method == "ClientStream" ? ClientStream : Bidi;
      std::thread([work, call, &stub] { work(stub.get(), call.get()); }).detach();
    }
    call = std::make_shared<Call>();
  }
  _exit(0);
}
