// The interop service for @grpc/grpc-js; NODE_PATH says where its packages are.
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const LIMIT = 8 << 20;
const options = { 'grpc.max_receive_message_length': LIMIT, 'grpc.max_send_message_length': LIMIT };

function load(proto) {
  const definition = loader.loadSync(proto, { keepCase: true, defaults: true });
  return grpc.loadPackageDefinition(definition).interop.Interop;
}

module.exports = { grpc, load, options };
