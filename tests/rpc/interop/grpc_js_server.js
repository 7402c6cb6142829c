// A server of the interop service: node grpc_js_server.js interop.proto prints its port and serves.
const { grpc, load, options } = require('./grpc_js_common.js');

const Interop = load(process.argv[2]);
// google.rpc.Status with one RetryInfo of three seconds, by hand: grpc-js has no helper for details.
const TYPE = 'type.googleapis.com/google.rpc.RetryInfo';
let cancelled = 0;

function field(number, bytes) {
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

function status(code, message) {
  const info = field(1, Buffer.from([0x08, 3]));
  const any = Buffer.concat([field(1, Buffer.from(TYPE)), field(2, info)]);
  return Buffer.concat([Buffer.from([0x08, code]), field(2, Buffer.from(message)), field(3, any)]);
}

function trailing() {
  const metadata = new grpc.Metadata();
  metadata.set('x-trailing', 'last');
  metadata.set('x-trailing-bin', Buffer.from([0xfe, 0x00]));
  return metadata;
}

function respond(request, metadata) {
  const seen = {};
  for (const name of Object.keys(metadata ? metadata.getMap() : {})) {
    if (name.startsWith('x-')) {
      seen[name] = metadata.get(name).map((value) => (Buffer.isBuffer(value) ? value.toString('hex') : value)).join(', ');
    }
  }
  const count = request.text === 'cancelled?' ? cancelled : request.count;
  return { text: request.text, payload: request.payload, count, metadata: seen };
}

const implementation = {
  Unary(call, callback) {
    const initial = new grpc.Metadata();
    initial.set('x-initial', 'first');
    initial.set('x-initial-bin', Buffer.from([0x00, 0xff, 0x01]));
    call.sendMetadata(initial);
    setTimeout(() => {
      const metadata = trailing();
      if (call.request.code) {
        metadata.set('grpc-status-details-bin', status(call.request.code, call.request.text));
        callback({ code: call.request.code, details: call.request.text, metadata });
      } else {
        callback(null, respond(call.request, call.metadata), metadata);
      }
    }, call.request.sleep_ms);
  },
  ServerStream(call) {
    const count = call.request.count;
    if (count >= 0) {
      for (let number = 0; number < count; number++) call.write({ count: number });
      call.end();
      return;
    }
    let number = 0;
    const timer = setInterval(() => call.write({ count: number++ }), 2);
    call.on('cancelled', () => {
      clearInterval(timer);
      cancelled++;
    });
  },
  ClientStream(call, callback) {
    let count = 0;
    let size = 0;
    call.on('data', (request) => {
      count++;
      size += request.payload.length;
    });
    call.on('end', () => callback(null, { count, text: String(size) }));
  },
  Bidi(call) {
    call.on('data', (request) => call.write(respond(request)));
    call.on('end', () => call.end());
  },
};

const server = new grpc.Server(options);
server.addService(Interop.service, implementation);
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
