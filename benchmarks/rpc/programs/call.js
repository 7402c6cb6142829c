// node call.js PROTO ADDRESS IN_FLIGHT SECONDS: call HiScore.Get by grpc-js and print what was measured, as JSON.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [proto, address, inFlight, seconds] = process.argv.slice(2);
const { HiScore } = grpc.loadPackageDefinition(loader.loadSync(proto)).hiscore;
const client = new HiScore(address.replace('tcp://', ''), grpc.credentials.createInsecure());
const times = [];
let end = Infinity;

function get() {
  return new Promise((resolve, reject) => {
    client.Get({ game: 'tetris' }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

async function worker() {
  for (let began = performance.now(); began < end; began = performance.now()) {
    await get();
    times.push(performance.now() - began);
  }
}

async function main() {
  for (let count = 0; count < 50; count++) await get();
  const before = process.cpuUsage();
  const began = performance.now();
  end = began + Number(seconds) * 1000;
  await Promise.all(Array.from({ length: Number(inFlight) }, worker));
  const elapsed = (performance.now() - began) / 1000;
  const used = process.cpuUsage(before);
  times.sort((one, other) => one - other);
  const quantile = (share) => times[Math.floor(times.length * share)] * 1000;
  const rate = times.length / elapsed;
  console.log(JSON.stringify({ rate, processor: (used.user + used.system) / times.length, p50: quantile(0.5), p99: quantile(0.99) }));
  client.close();
}

main();
