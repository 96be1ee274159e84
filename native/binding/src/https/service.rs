//! What becomes of one request: a status, or a query and its answer.
//!
//! Knows: hyper's requests and responses, in which order a request is judged, read and answered.  Does not know:
//! sockets, TLS, why an answer is what it is.
//! Theory: a query that is known here is answered in the first call, before the library looks at the next
//! request; only a body that is not whole yet, an upstream and a client that does not read let a request wait.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{ready, Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{HeaderValue, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::service::Service;
use hyper::{Method, Request, Response, StatusCode};
use resolver_core::flow::BadForwarded;
use resolver_core::http::{self, judge, judge_body, max_age_s, Refusal, Wanted, DNS_PATH};
use tokio::time::{sleep, Sleep};

use super::answer_body::AnswerBody;
use super::bounds::STALL_S;
use super::connection::{Connection, Lent};
use super::desk::{Answering, Asker};
use super::waiting::LateAnswer;
use crate::stream_state::StreamAnswer;

/// There is no answer, and never will be: a stream is reset, a connection of HTTP/1.1 closed.
#[derive(Debug)]
pub struct NoAnswer;

impl fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("no answer")
    }
}

impl Error for NoAnswer {}

type Answered = Result<Response<AnswerBody>, NoAnswer>;

/// Takes the requests of one connection.
pub struct Requests(pub Rc<Connection>);

impl Service<Request<Incoming>> for Requests {
    type Response = Response<AnswerBody>;
    type Error = NoAnswer;
    type Future = Reply;

    fn call(&self, request: Request<Incoming>) -> Reply {
        let connection = Rc::clone(&self.0);
        let target = request.uri().path_and_query().map_or("", |target| target.as_str());
        let (target, name) = connection.thread().flow().client_names().split_target(target, DNS_PATH);
        let asker = connection.asker(name, |header| {
            request.headers().get_all(header).iter().map(HeaderValue::as_bytes).collect()
        });
        let is_head = request.method() == Method::HEAD;
        let state = match wanted(&request, &target) {
            Err(refusal) => State::Refused(refusal),
            Ok(Wanted::Answer(message)) => State::Query(message.into(), Held::new(&connection)),
            Ok(Wanted::AnswerToBody) => State::Body(Reading::new(&connection, request.into_body())),
        };
        Reply { connection, asker, is_head, state }
    }
}

fn wanted(request: &Request<Incoming>, target: &str) -> Result<Wanted, Refusal> {
    let mut types = request.headers().get_all(CONTENT_TYPE).iter();
    // Two types are none.
    let content_type = match (types.next(), types.next()) {
        (Some(only), None) => Some(only.as_bytes()),
        _ => None,
    };
    judge(request.method().as_str(), target, content_type, request.body().size_hint().exact())
}

/// One request on its way to its response.
pub struct Reply {
    connection: Rc<Connection>,
    /// Who asks.
    asker: Result<Asker, BadForwarded>,
    is_head: bool,
    state: State,
}

enum State {
    Refused(Refusal),
    Body(Reading),
    Query(Bytes, Held),
    Waiting { late: LateAnswer, _lent: Lent },
    Over,
}

impl Future for Reply {
    type Output = Answered;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answered> {
        let reply = &mut *self;
        loop {
            reply.state = match &mut reply.state {
                State::Refused(refusal) => {
                    let refusal = *refusal;
                    reply.state = State::Over;
                    return Poll::Ready(Ok(reply.refused(refusal)));
                }
                State::Body(reading) => match ready!(reading.poll(context)) {
                    Ok(octets) => State::Query(octets, Held::new(&reply.connection)),
                    Err(Some(refusal)) => State::Refused(refusal),
                    Err(None) => return reply.nothing(),
                },
                State::Query(octets, held) => {
                    let Ok(asker) = reply.asker else {
                        reply.connection.count_bad_forwarded();
                        reply.state = State::Refused(Refusal::BadRequest);
                        continue;
                    };
                    // A client that has not read its answers gets no more of them before it does.
                    if !reply.connection.has_room(context.waker()) {
                        held.set(REQUEST_OCTETS + octets.len());
                        return Poll::Pending;
                    }
                    match reply.connection.answer(octets, asker) {
                        Answering::Now(answer) => {
                            reply.state = State::Over;
                            return Poll::Ready(Ok(reply.answered(answer)));
                        }
                        Answering::Later(late) => {
                            State::Waiting { late, _lent: Lent::new(&reply.connection, octets.len()) }
                        }
                        Answering::Nothing => return reply.nothing(),
                    }
                }
                State::Waiting { late, .. } => match ready!(Pin::new(late).poll(context)) {
                    StreamAnswer::Message(answer) => {
                        reply.state = State::Over;
                        return Poll::Ready(Ok(reply.answered(answer.into())));
                    }
                    StreamAnswer::Nothing { .. } | StreamAnswer::Lost => return reply.nothing(),
                },
                State::Over => return Poll::Ready(Err(NoAnswer)),
            };
        }
    }
}

impl Reply {
    fn nothing(&mut self) -> Poll<Answered> {
        self.state = State::Over;
        Poll::Ready(Err(NoAnswer))
    }

    fn answered(&self, answer: Vec<u8>) -> Response<AnswerBody> {
        self.connection.count_answer();
        let mut response = Response::new(AnswerBody::none());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(http::DNS_MESSAGE));
        headers.insert(CACHE_CONTROL, max_age_value(max_age_s(&answer)));
        if self.is_head {
            // RFC 9110 §9.3.2: what GET would have had.
            headers.insert(CONTENT_LENGTH, HeaderValue::from(answer.len()));
        } else {
            *response.body_mut() = AnswerBody::new(answer, self.connection.unwritten());
        }
        self.leave(response)
    }

    fn refused(&self, refusal: Refusal) -> Response<AnswerBody> {
        self.connection.count_refusal(refusal);
        let mut response = Response::new(AnswerBody::none());
        *response.status_mut() = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
        if refusal == Refusal::MethodNotAllowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(http::ALLOWED_METHODS));
        }
        self.leave(response)
    }

    fn leave(&self, mut response: Response<AnswerBody>) -> Response<AnswerBody> {
        if self.connection.leave() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

fn max_age_value(seconds: u32) -> HeaderValue {
    // "max-age=" and ten digits at most.
    let mut text = arrayvec::ArrayString::<24>::new();
    let _ = fmt::write(&mut text, format_args!("max-age={seconds}"));
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("max-age=0"))
}

/// What a request costs that is not whole yet, beside its body: about so much memory in the libraries.
const REQUEST_OCTETS: usize = 1024;

/// What its connection was told that a request holds, which waits for its client.
struct Held {
    connection: Rc<Connection>,
    octets: usize,
}

impl Held {
    /// Nothing yet: most requests never wait.
    fn new(connection: &Rc<Connection>) -> Held {
        Held { connection: Rc::clone(connection), octets: 0 }
    }

    fn set(&mut self, octets: usize) {
        let before = std::mem::replace(&mut self.octets, octets);
        if before != octets {
            self.connection.change_reading(before, octets);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// A body on its way in.
struct Reading {
    body: Incoming,
    /// The first part; where it is the only one, which it nearly always is, nothing is copied.
    first: Bytes,
    all: Vec<u8>,
    timer: Option<Pin<Box<Sleep>>>,
    held: Held,
}

impl Reading {
    fn new(connection: &Rc<Connection>, body: Incoming) -> Reading {
        Reading { body, first: Bytes::new(), all: Vec::new(), timer: None, held: Held::new(connection) }
    }

    /// Ready with the query; or with a refusal; or with none if the client has gone, or takes too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, Option<Refusal>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing here.
                    let Ok(part) = frame.into_data() else { continue };
                    if let Err(refusal) = self.take(part) {
                        return Poll::Ready(Err(Some(refusal)));
                    }
                }
                Poll::Ready(None) => {
                    let whole = if self.all.is_empty() {
                        std::mem::take(&mut self.first)
                    } else {
                        std::mem::take(&mut self.all).into()
                    };
                    return Poll::Ready(judge_body(whole.len()).map(|()| whole).map_err(Some));
                }
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(None)),
                Poll::Pending => {
                    self.held.set(REQUEST_OCTETS + self.first.len() + self.all.len());
                    let timer =
                        self.timer.get_or_insert_with(|| Box::pin(sleep(Duration::from_secs_f64(STALL_S))));
                    ready!(timer.as_mut().poll(context));
                    self.held.connection.count_stalled();
                    return Poll::Ready(Err(None));
                }
            }
        }
    }

    fn take(&mut self, part: Bytes) -> Result<(), Refusal> {
        if self.first.is_empty() && self.all.is_empty() {
            self.first = part;
        } else {
            if self.all.is_empty() {
                self.all.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.all.extend_from_slice(&part);
        }
        let octets = self.first.len() + self.all.len();
        // What is short may grow yet.
        judge_body(octets.max(http::MESSAGE_OCTETS_MIN))
    }
}
