//! A connection from its handshake to its end.
//!
//! Knows: which library comes when, and how what they end with is counted.  Does not know: what a request means
//! (`service`), when time is up (`connection`).

use std::error::Error;
use std::future::{poll_fn, Future};
use std::io;
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::task::Poll;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use resolver_core::flow::Transport;
use resolver_core::http::{FrameFault, FrameGuard, HeadFault, HeadGuard, Refusal, Rest, NO_TABLE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::bounds::{
    CONNECTION_WINDOW_OCTETS, HEADERS_MAX, LINGER_TIME, STREAM_SEND_OCTETS_MAX, STREAM_WINDOW_OCTETS,
};
use super::connection::{Connection, Ending};
use super::executor::Gathered;
use super::guarded_io::{Fault, Guard, GuardedIo};
use super::service::Requests;
use super::tls_io::{SharedIo, TlsIo};
use crate::https_counts::Cut;
use crate::tls_counts::TlsFailure;

/// What a connection may still send while it is closed: twice the largest body.
const LATE_OCTETS_MAX: usize = 131_072;

/// All of it; ends early where the connection has to go at once.  `begun`: see `TlsIo::accept`.
pub async fn live(connection: Rc<Connection>, stream: TcpStream, begun: Vec<u8>) {
    let life = Box::pin(serve(Rc::clone(&connection), stream, begun));
    let _ = unless_ended(&connection, life).await;
}

/// What comes of `work`; None: the connection had to go before.
pub async fn unless_ended<T>(
    connection: &Connection,
    mut work: impl Future<Output = T> + Unpin,
) -> Option<T> {
    poll_fn(|context| {
        if connection.is_to_end_now(context.waker()) {
            return Poll::Ready(None);
        }
        Pin::new(&mut work).poll(context).map(Some)
    })
    .await
}

/// Each part has memory of its own, and only as long as it lasts: most connections are quiet most of the time.
async fn serve(connection: Rc<Connection>, stream: TcpStream, begun: Vec<u8>) {
    let Some(session) = Box::pin(shake_hands(&connection, stream, begun)).await else { return };
    if session.agreed().alpn_protocol() == Some(b"h2") {
        Box::pin(serve_http2(&connection, session)).await;
    } else {
        Box::pin(serve_http1(&connection, session)).await;
    }
}

async fn shake_hands(connection: &Connection, stream: TcpStream, begun: Vec<u8>) -> Option<TlsIo> {
    let thread = connection.thread();
    let (config, rooms, handshake) = (thread.config(), thread.rooms(), connection.handshake());
    match TlsIo::accept(stream, config, rooms, &thread.turnstile, handshake, begun).await {
        Ok(mut session) => {
            thread.tls_counts().succeeded(Transport::Https, session.agreed());
            connection.begin_session(session.take_server_name().as_deref());
            Some(session)
        }
        Err(error) => {
            connection.fail_handshake(error.as_ref().map_or(TlsFailure::Closed, TlsFailure::of));
            None
        }
    }
}

async fn serve_http2(connection: &Rc<Connection>, session: TlsIo) {
    connection.watch().set_guard(Guard::Frames(FrameGuard::default()));
    let session = SharedIo::new(session);
    let mut rest = None;
    loop {
        // All that the library keeps goes with this future.
        let kept = Box::pin(converse(connection, &session, rest.as_ref())).await;
        if kept.is_none() || !wait_for_client(connection, &session).await {
            return;
        }
        rest = kept;
    }
}

/// Let the client be quiet, with nothing here but its session; whether the library is needed again.
async fn wait_for_client(connection: &Connection, session: &SharedIo) -> bool {
    connection.set_resting(true);
    let heard = poll_fn(|context| {
        // The library says goodbye.
        if connection.ending().is_some() {
            return Poll::Ready(Ok(true));
        }
        session.poll_hear(context)
    })
    .await;
    connection.set_resting(false);
    match heard {
        Ok(true) => return true,
        Ok(false) => {
            let mut session = session.clone();
            let _ = timeout(LINGER_TIME, session.shutdown()).await;
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => connection.break_tls(),
        Err(_) => {}
    }
    false
}

/// Speak HTTP/2 until the connection is over, or quiet: then what is needed to go on.
async fn converse(connection: &Rc<Connection>, session: &SharedIo, rest: Option<&Rest>) -> Option<Rest> {
    let thread = connection.thread();
    let bounds = &thread.bounds();
    let gathered = Gathered::new(thread);
    let mut builder = http2::Builder::new(gathered.clone());
    builder
        .max_concurrent_streams(bounds.https_streams_max)
        .max_header_list_size(bounds.https_header_octets_max)
        .max_send_buf_size(STREAM_SEND_OCTETS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_OCTETS)
        .initial_connection_window_size(CONNECTION_WINDOW_OCTETS);
    let watch = Rc::clone(connection.watch());
    let has_rested = rest.is_some();
    let io = match rest {
        None => GuardedIo::new(session.clone(), watch),
        Some(rest) => GuardedIo::again(session.clone(), watch, rest, CONNECTION_WINDOW_OCTETS),
    };
    let io = TokioIo::new(io);
    let mut conversation = pin!(builder.serve_connection(io, Requests(Rc::clone(connection))));
    let (mut is_ending, mut is_over_by_headers) = (false, false);
    let ended = poll_fn(|context| {
        if !is_ending && connection.ending() == Some(Ending::Soon) {
            is_ending = true;
            conversation.as_mut().graceful_shutdown();
        }
        // Whatever the library says now leaves in one write: its settings, its agreement to those of the client, answers.
        session.cork();
        loop {
            let poll = conversation.as_mut().poll(context);
            is_over_by_headers |= connection.count_refused();
            // What came together is answered together; then the library sends the answers.
            if poll.is_ready() {
                let _ = session.poll_uncork(context);
                return poll.map(Err);
            }
            if !gathered.run() {
                break;
            }
        }
        if matches!(session.poll_uncork(context), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Ok(())));
        }
        let Some(rest) = connection.rest().filter(|_| session.is_empty()) else { return Poll::Pending };
        if rest.is_agreed() {
            return Poll::Ready(Ok(rest));
        }
        if session.say(NO_TABLE, context) {
            connection.watch().told_to_use_no_table();
        }
        Poll::Pending
    })
    .await;
    let ended = match ended {
        Ok(rest) => return Some(rest),
        Err(ended) => ended,
    };
    let cut = match (connection.watch().fault(), ended) {
        (Some(Fault::Tls), _) => {
            connection.break_tls();
            return None;
        }
        (Some(Fault::Frames(FrameFault::Control)), _) => Cut::ControlFrames,
        (Some(Fault::Frames(FrameFault::Resets)), _) => Cut::Resets,
        (_, Err(error)) if is_of_network(&error) => return None,
        (_, Err(_)) if is_over_by_headers => Cut::Headers,
        (_, Err(_)) => Cut::Broken,
        _ => return None,
    };
    // Some libraries agree to use no table and go on using theirs (Go's before 1.20), which breaks the first request
    // behind a rest: that we let it rest is no fault of the client's.
    if !(has_rested && matches!(cut, Cut::Broken)) {
        connection.charge();
    }
    thread.counts().cut(cut);
    None
}

async fn serve_http1(connection: &Rc<Connection>, session: TlsIo) {
    let thread = connection.thread();
    let head_octets_max = thread.bounds().https_header_octets_max as usize;
    connection.watch().set_guard(Guard::Heads(HeadGuard::new(head_octets_max)));
    let mut builder = http1::Builder::new();
    builder
        .half_close(true)
        .header_read_timeout(None)
        .max_headers(HEADERS_MAX)
        // The guard sees heads first, and what it lets through fits.
        .max_buf_size(2 * head_octets_max.max(8192));
    let io = TokioIo::new(GuardedIo::new(session, Rc::clone(connection.watch())));
    let mut conversation = builder.serve_connection(io, Requests(Rc::clone(connection)));
    let mut is_ending = false;
    let ended = poll_fn(|context| {
        if !is_ending && connection.ending() == Some(Ending::Soon) {
            is_ending = true;
            Pin::new(&mut conversation).graceful_shutdown();
        }
        conversation.poll_without_shutdown(context)
    })
    .await;
    let mut session = conversation.into_parts().io.into_inner().into_inner();
    let refusal = match (connection.watch().fault(), &ended) {
        (Some(Fault::Tls), _) => {
            connection.break_tls();
            None
        }
        (Some(Fault::Head(fault)), _) => {
            let refusal = refusal_of(fault);
            if session.write_all(head_of(refusal).as_bytes()).await.is_err() {
                return;
            }
            Some(refusal)
        }
        // These the library has told the client itself.
        (_, Err(error)) if error.is_parse_too_large() => Some(Refusal::HeadersTooLarge),
        (_, Err(error)) if error.is_parse() => Some(Refusal::BadRequest),
        _ => None,
    };
    if let Some(refusal) = refusal {
        connection.charge();
        thread.counts().refuse(refusal);
        match refusal {
            Refusal::HeadersTooLarge => thread.counts().cut(Cut::Headers),
            Refusal::BadRequest => thread.counts().cut(Cut::Broken),
            _ => {}
        }
    }
    let _ = timeout(LINGER_TIME, close(&mut session)).await;
}

fn refusal_of(fault: HeadFault) -> Refusal {
    match fault {
        HeadFault::TargetTooLong => Refusal::UriTooLong,
        HeadFault::TooLarge => Refusal::HeadersTooLarge,
        HeadFault::Ambiguous => Refusal::BadRequest,
    }
}

/// A response of HTTP/1.1 that the library cannot make, as it never saw the request.
fn head_of(refusal: Refusal) -> String {
    let status = refusal.status();
    let reason = hyper::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    let reason = reason.unwrap_or("Refused");
    format!("HTTP/1.1 {status} {reason}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}

/// Say that nothing more comes, and read away what does: unread octets would turn the end into a reset, which takes
/// along what the client has not read.
async fn close(session: &mut TlsIo) -> io::Result<()> {
    session.shutdown().await?;
    let stream = session.stream();
    let mut octets = [0; 4096];
    let mut left = LATE_OCTETS_MAX;
    while left > 0 {
        let count = stream.read(&mut octets).await?;
        if count == 0 {
            break;
        }
        left = left.saturating_sub(count);
    }
    Ok(())
}

/// Whether a conversation ended because its client went.
fn is_of_network(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<io::Error>() {
            return true;
        }
        source = cause.source();
    }
    error.is_incomplete_message() || error.is_canceled() || error.is_closed()
}
