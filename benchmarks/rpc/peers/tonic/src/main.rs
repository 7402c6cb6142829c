// The Rust peer: HiScore on tonic, on one thread, as it has one processor. Argument: port.
use tonic::{transport::Server, Request, Response, Status, Streaming};

pub mod hiscore {
    tonic::include_proto!("hiscore");
}

use hiscore::hi_score_server::{HiScore, HiScoreServer};
use hiscore::{Blob, Query, Score, Scores, Stream};

type Messages = tokio_stream::Iter<Box<dyn Iterator<Item = Result<Score, Status>> + Send>>;

struct Service;

fn score(points: i64) -> Score {
    Score { player: "ann".into(), points }
}

#[tonic::async_trait]
impl HiScore for Service {
    type WatchStream = Messages;
    type ChatStream = Messages;

    async fn get(&self, _: Request<Query>) -> Result<Response<Score>, Status> {
        Ok(Response::new(score(12345678)))
    }

    async fn echo(&self, request: Request<Blob>) -> Result<Response<Blob>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn watch(&self, request: Request<Stream>) -> Result<Response<Messages>, Status> {
        let count = i64::from(request.into_inner().count);
        let scores: Box<dyn Iterator<Item = _> + Send> = Box::new((0..count).map(|points| Ok(score(points))));
        Ok(Response::new(tokio_stream::iter(scores)))
    }

    async fn top(&self, _: Request<Query>) -> Result<Response<Scores>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn load(&self, _: Request<Streaming<Score>>) -> Result<Response<Score>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn chat(&self, _: Request<Streaming<Query>>) -> Result<Response<Messages>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).expect("a port");
    let service = HiScoreServer::new(Service).max_decoding_message_size(16 << 20);
    println!("ready");
    Server::builder().add_service(service).serve(format!("127.0.0.1:{port}").parse()?).await?;
    Ok(())
}
