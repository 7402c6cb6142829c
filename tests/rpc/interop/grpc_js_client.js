// The calls of the interop tests by grpc-js: node grpc_js_client.js interop.proto PORT COMPRESSION prints what came of
// them as JSON. COMPRESSION is a number of grpc.compressionAlgorithms: 0 identity, 1 deflate, 2 gzip.
const { grpc, load, options } = require('./grpc_js_common.js');

const [proto, port, compression] = process.argv.slice(2);
const Interop = load(proto);
const client = new Interop(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
  ...options,
  'grpc.default_compression_algorithm': Number(compression),
});

function unary(request, metadata = new grpc.Metadata(), more = {}) {
  return new Promise((resolve) => {
    const result = {};
    const call = client.Unary(request, metadata, more, (error, response) => {
      result.error = error && { code: error.code, details: error.details, bin: error.metadata.get('grpc-status-details-bin').length };
      result.response = response && { ...response, payload: response.payload.length };
    });
    call.on('metadata', (initial) => {
      result.initial = [initial.get('x-initial')[0], initial.get('x-initial-bin').map((value) => value.toString('hex'))[0]];
    });
    call.on('status', (status) => {
      const raw = status.metadata.get('x-trailing-bin').map((value) => value.toString('hex'));
      result.trailing = [status.metadata.get('x-trailing')[0], raw[0]];
      setImmediate(() => resolve(result));
    });
  });
}

function serverStream(count) {
  return new Promise((resolve) => {
    const counts = [];
    const call = client.ServerStream({ count });
    call.on('data', (response) => {
      counts.push(response.count);
      if (count < 0 && counts.length === 3) call.cancel();
    });
    call.on('error', (error) => resolve({ counts: counts.slice(0, 3), code: error.code }));
    call.on('end', () => resolve({ counts, code: 0 }));
  });
}

function clientStream(count) {
  return new Promise((resolve) => {
    const call = client.ClientStream((error, response) => resolve(error ? { code: error.code } : response));
    for (let number = 0; number < count; number++) call.write({ payload: Buffer.alloc(number) });
    call.end();
  });
}

function bidi(count) {
  return new Promise((resolve) => {
    const texts = [];
    const call = client.Bidi();
    call.on('data', (response) => {
      texts.push(response.text);
      if (texts.length < count) call.write({ text: String(texts.length) });
      else call.end();
    });
    call.on('end', () => resolve(texts));
    call.write({ text: '0' });
  });
}

async function main() {
  const metadata = new grpc.Metadata();
  metadata.set('x-text', 'a b');
  metadata.set('x-raw-bin', Buffer.from([0, 1, 0xfe, 0xff]));
  const results = {};
  results.unary = await unary({ text: 'Größe', count: -7 }, metadata);
  results.error = await unary({ text: 'no größe: 100 %', code: 5 });
  results.deadline = await unary({ sleep_ms: 20000 }, undefined, { deadline: Date.now() + 300 });
  results.serverStream = await serverStream(500);
  results.cancelled = await serverStream(-1);
  results.clientStream = await clientStream(300);
  results.bidi = await bidi(50);
  results.large = await unary({ payload: Buffer.alloc(4 << 20, 7) });
  const many = await Promise.all(Array.from({ length: 500 }, (_, count) => unary({ count, sleep_ms: 5 })));
  results.many = many.map((result) => result.response.count);
  console.log(JSON.stringify(results));
  client.close();
}

main();
