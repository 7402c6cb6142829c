fn main() {
    tonic_prost_build::compile_protos("hiscore.proto").unwrap();
}
