//! A library that takes up a connection again, and what its client has sent meanwhile.
//!
//! Knows: both ends of a connection without a network.  Does not know: TLS, queries.

use std::convert::Infallible;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use resolver_core::http::SentFrames;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use super::*;
use crate::https::bounds::{CONNECTION_WINDOW_OCTETS, STREAM_WINDOW_OCTETS};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// POST, https, /, at nobody's: all from the table that everybody has (RFC 7541, appendix A), or without any.
const HEAD: &[u8] = b"\x83\x87\x84\x01\x01a";

/// More than every connection's window at the beginning, and less than ours.
const BODY_OCTETS: usize = 50_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
    [&[high, middle, low, kind, flags], &stream.to_be_bytes()[..], payload].concat()
}

fn request(stream: u32) -> Vec<u8> {
    let mut octets = frame(HEADERS, END_HEADERS, stream, HEAD);
    for part in vec![7; BODY_OCTETS].chunks(10_000) {
        octets.extend(frame(DATA, 0, stream, part));
    }
    octets.extend(frame(DATA, END_STREAM, stream, b""));
    octets
}

/// What is kept of a connection of which both sides have said their settings.
fn rest() -> Rest {
    let watch = Watch::default();
    watch.set_guard(Guard::Frames(FrameGuard::default()));
    watch.take(PREFACE).unwrap();
    let mut sent = SentFrames::default();
    for settings in [frame(SETTINGS, 0, 0, b""), frame(SETTINGS, ACK, 0, b"")] {
        watch.take(&settings).unwrap();
        sent.take(&settings);
    }
    // What every connection of ours begins with beside its settings.
    sent.take(&frame(8, 0, 0, &(CONNECTION_WINDOW_OCTETS - STREAM_WINDOW_OCTETS).to_be_bytes()));
    watch.sent.replace(sent);
    watch.rest().unwrap()
}

#[derive(Clone)]
struct Here;

impl<F: std::future::Future + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(async move { drop(future.await) }));
    }
}

async fn length_of(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let octets = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
    Ok(Response::new(Full::from(octets.to_string())))
}

/// Kind, stream and payload of every frame.
fn frames(mut octets: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = octets.split_first_chunk::<9>() {
        let count = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some(payload) = rest.get(..count) else { break };
        frames.push((head[3], head[8], payload.to_vec()));
        octets = &rest[count..];
    }
    frames
}

#[test]
fn a_burst_right_behind_a_rest_meets_the_window_that_its_client_was_told_of() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let said = LocalSet::new().block_on(&runtime, async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        client.write_all(&[request(1), request(3)].concat()).await.unwrap();
        let io = GuardedIo::again(server, Rc::default(), &rest(), CONNECTION_WINDOW_OCTETS);
        tokio::task::spawn_local(async {
            let mut builder = http2::Builder::new(Here);
            builder.initial_connection_window_size(CONNECTION_WINDOW_OCTETS);
            builder.initial_stream_window_size(STREAM_WINDOW_OCTETS);
            let _ = builder.serve_connection(TokioIo::new(io), service_fn(length_of)).await;
        });
        let mut said = Vec::new();
        // Until both are answered, or the library hangs up.
        while frames(&said).iter().filter(|(kind, ..)| *kind == DATA).count() < 2
            && client.read_buf(&mut said).await.unwrap() > 0
        {}
        frames(&said)
    });
    assert!(said.iter().all(|(kind, ..)| *kind != GOAWAY && *kind != SETTINGS), "{said:?}");
    let answers: Vec<_> = said.iter().filter(|(kind, ..)| *kind == DATA).collect();
    let length = BODY_OCTETS.to_string().into_bytes();
    assert!(answers.iter().any(|(_, stream, octets)| (*stream, octets) == (1, &length)), "{said:?}");
    assert!(answers.iter().any(|(_, stream, octets)| (*stream, octets) == (3, &length)), "{said:?}");
}
