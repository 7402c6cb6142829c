// node serve.js PROTO PORT: HiScore on grpc-js; prints a line when it listens. NODE_PATH has its packages.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [proto, port] = process.argv.slice(2);
const { HiScore } = grpc.loadPackageDefinition(loader.loadSync(proto)).hiscore;
const server = new grpc.Server({ 'grpc.max_receive_message_length': 16 << 20 });

function score(points = 12345678) {
  return { player: 'ann', points };
}

async function watch(call) {
  for (let points = 0; points < call.request.count; points++) {
    if (!call.write(score(points))) await new Promise((resolve) => call.once('drain', resolve));
  }
  call.end();
}

server.addService(HiScore.service, {
  Get: (call, answer) => answer(null, score()),
  Echo: (call, answer) => answer(null, call.request),
  Watch: watch,
});
server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
  console.log('ready');
});
