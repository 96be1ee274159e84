//! `http_echo PORT CERTIFICATE KEY`: the limit of DNS over HTTPS.
//!
//! Knows: tokio on one thread, rustls, hyper.  Does not know: names, caches, paths: every POST gets one fixed record.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use resolver_stream_rig::{answer_into, tls::server_config};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut out = Vec::with_capacity(512);
    let is_query = match request.into_body().collect().await {
        Ok(body) => answer_into(&body.to_bytes(), &mut out),
        Err(_) => false,
    };
    let mut response = Response::new(Full::new(Bytes::from(out)));
    if !is_query {
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/dns-message"));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("max-age=3600"));
    Ok(response)
}

async fn serve(socket: TcpStream, acceptor: TlsAcceptor) {
    // Who breaks off a handshake or a request is gone: an echo keeps no count of it.
    let _ = socket.set_nodelay(true);
    let Ok(stream) = acceptor.accept(socket).await else { return };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    if is_http2 {
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(io, service_fn(answer)).await;
    } else {
        let _ = http1::Builder::new().serve_connection(io, service_fn(answer)).await;
    }
}

fn main() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, certificate, key] = &words[..] else {
        return Err("usage: http_echo PORT CERTIFICATE KEY".to_owned());
    };
    let port: u16 = port.parse().map_err(|_| "PORT is no port")?;
    let acceptor = TlsAcceptor::from(server_config(certificate, key, &[b"h2", b"http/1.1"])?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| error.to_string())?;
        loop {
            if let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, acceptor.clone()));
            }
        }
    })
}
