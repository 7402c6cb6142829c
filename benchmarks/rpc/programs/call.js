// node call.js PROTO ADDRESS IN_FLIGHT: call HiScore.Get by grpc-js, for as many seconds as each line of the standard
// input says, and print what was measured, as JSON.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');
const readline = require('readline');

const [proto, address, inFlight] = process.argv.slice(2);
const { HiScore } = grpc.loadPackageDefinition(loader.loadSync(proto)).hiscore;
const client = new HiScore(address.replace('tcp://', ''), grpc.credentials.createInsecure());

function get() {
  return new Promise((resolve, reject) => {
    client.Get({ game: 'tetris' }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}

async function measure(seconds) {
  const times = [];
  const before = process.cpuUsage();
  const began = performance.now();
  const end = began + seconds * 1000;
  async function worker() {
    for (let start = performance.now(); start < end; start = performance.now()) {
      await get();
      times.push(performance.now() - start);
    }
  }
  await Promise.all(Array.from({ length: Number(inFlight) }, worker));
  const elapsed = (performance.now() - began) / 1000;
  const used = process.cpuUsage(before);
  times.sort((one, other) => one - other);
  const quantile = (share) => times[Math.floor(times.length * share)] * 1000;
  const calls = times.length;
  const processor = (used.user + used.system) / calls;
  console.log(JSON.stringify({ calls, rate: calls / elapsed, processor, p50: quantile(0.5), p99: quantile(0.99) }));
}

async function main() {
  for (let count = 0; count < 200; count++) await get();
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) await measure(Number(line));
  client.close();
}

main();
