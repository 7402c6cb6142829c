// grpc-js as a client that makes the calls it is told to (see harness.proto): node grpc_js_client.js FOLDER PORT COMPRESSION
const protobuf = require('protobufjs');
const { grpc, load, options } = require('./grpc_js_common.js');

const [folder, port, compression] = process.argv.slice(2);
const Interop = load(`${folder}/interop.proto`);
const root = new protobuf.Root().loadSync(`${folder}/harness.proto`, { keepCase: true });
const Command = root.lookupType('harness.Command');
const Result = root.lookupType('harness.Result');
const Response = root.lookupType('interop.Response');
const client = new Interop(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
  ...options,
  'grpc.default_compression_algorithm': grpc.compressionAlgorithms[compression],
});

function pairs(metadata) {
  const list = [];
  for (const name of Object.keys(metadata.getMap())) {
    for (const value of metadata.get(name)) list.push({ name: Buffer.from(name), value: Buffer.from(value) });
  }
  return list;
}

function metadataOf(list) {
  const metadata = new grpc.Metadata();
  for (const { name, value } of list) {
    const text = Buffer.from(name).toString();
    metadata.add(text, text.endsWith('-bin') ? Buffer.from(value) : Buffer.from(value).toString());
  }
  return metadata;
}

function write(result) {
  const data = Result.encode(Result.fromObject(result)).finish();
  const head = Buffer.alloc(4);
  head.writeUInt32LE(data.length);
  process.stdout.write(Buffer.concat([head, data]));
}

// What this call sends after a response, if it sends one request after another.
function bidi(call, requests) {
  let sent = 0;
  return () => (sent < requests.length ? call.write(requests[sent++]) : call.end());
}

function begin(command, more, done) {
  const { method, requests } = command;
  const metadata = metadataOf(command.metadata);
  if (method === 'Unary') return client.Unary(requests[0], metadata, more, done);
  if (method === 'ServerStream') return client.ServerStream(requests[0], metadata, more);
  const call = method === 'ClientStream' ? client.ClientStream(metadata, more, done) : client.Bidi(metadata, more);
  if (method === 'ClientStream') {
    for (const request of requests) call.write(request);
    call.end();
  }
  return call;
}

function run(command) {
  const result = { id: command.id, responses: [], initial: [], trailing: [] };
  const take = (response) => result.responses.push(Response.fromObject(response));
  const more = command.timeout_ms ? { deadline: Date.now() + command.timeout_ms } : {};
  const call = begin(command, more, (error, response) => response && take(response));
  const next = command.method === 'Bidi' ? bidi(call, command.requests) : () => {};
  let taken = false;
  call.on('metadata', (metadata) => (result.initial = pairs(metadata)));
  call.on('data', (response) => {
    if (taken) return;
    take(response);
    taken = result.responses.length === command.take;
    if (taken) call.cancel();
    next();
  });
  call.on('error', () => {});
  call.on('status', (status) => {
    result.trailing = pairs(status.metadata);
    const details = status.metadata.get('grpc-status-details-bin')[0];
    if (!taken) Object.assign(result, { code: status.code, message: status.details, details });
    setImmediate(() => write(result));
  });
  next();
}

let buffer = Buffer.alloc(0);
process.stdin.on('data', (data) => {
  buffer = Buffer.concat([buffer, data]);
  while (buffer.length >= 4 && buffer.length >= 4 + buffer.readUInt32LE()) {
    const stop = 4 + buffer.readUInt32LE();
    run(Command.decode(buffer.subarray(4, stop)));
    buffer = buffer.subarray(stop);
  }
});
