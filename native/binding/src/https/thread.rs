//! One thread: connections in, the time of those that are there, letters of other threads.
//!
//! Knows: listening, limits.  Does not know: TLS and HTTP (`life`), what a query is (`desk`).
//! Theory: everything of this thread runs in one future and the tasks beside it.  A panic in a task ends that
//! connection, one in the future this thread's life: connections close, and another life begins.

use std::cell::RefCell;
use std::future::{poll_fn, Future};
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::pin::{pin, Pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use resolver_core::flow::{AwaitedHead, Holder, Transport};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::bounds::{ACCEPT_PAUSE, LOOK_TIME};
use super::connection::Connection;
use super::entries::{Connections, Entry};
use super::executor::Caught;
use super::heads::live_behind_head;
use super::life::live;
use super::state::Thread;
use crate::counters::add;
use crate::lives::{live_again, Ended};
use crate::mailbox::{SIGNAL_STOP, SIGNAL_STOP_READING};
use crate::ring::WorkerEvent;
use crate::shared::Shared;
use crate::slab::{Handle, Slab};
use crate::stream_state::{StreamDrop, StreamNews};
use crate::sys::{duplicate, monotonic, take_turns_of, STREAMS_SLICE_NS};

/// A thread's lives, until it is told to stop.
pub fn run(shared: &Arc<Shared>, number: u16) {
    let mailbox = &shared.streams.threads[usize::from(number)].letters.mailbox;
    let live = || match catch_unwind(AssertUnwindSafe(|| begin(shared, number))) {
        Ok(Ok(())) => Ended::Stopped,
        Ok(Err(_)) => Ended::Broken,
        Err(_) => {
            add(&mailbox.counters.panics, 1);
            Ended::Broken
        }
    };
    live_again(mailbox, live, |is_down| {
        let event = if is_down { WorkerEvent::StreamDown(number) } else { WorkerEvent::StreamUp(number) };
        shared.ring.notify(event);
    });
}

/// One life: until the thread is told to stop; an error: it cannot begin, for want of descriptors.
fn begin(shared: &Arc<Shared>, number: u16) -> io::Result<()> {
    take_turns_of(STREAMS_SLICE_NS);
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let tasks = LocalSet::new();
    let serving = Rc::new(Serving::new(Arc::clone(shared), number));
    tasks.block_on(&runtime, serving.serve())
}

/// One life of a thread, with its connections.
struct Serving {
    thread: Rc<Thread>,
    connections: Rc<Connections>,
}

type Acceptors = Vec<Pin<Box<dyn Future<Output = ()>>>>;

impl Serving {
    fn new(shared: Arc<Shared>, number: u16) -> Serving {
        let thread = Rc::new(Thread::new(shared, number));
        Serving { thread, connections: Rc::new(RefCell::new(Slab::new())) }
    }

    /// Until it is told to stop.
    async fn serve(self: &Rc<Self>) -> io::Result<()> {
        let mut acceptors = self.acceptors()?;
        let bell = duplicate(self.thread.own().letters.mailbox.wakeup.as_raw_fd())?;
        // SAFETY: it owns the descriptor, which so is open, and the same, as long as it lives.
        let bell = unsafe { AsyncFd::register_with_interest(bell, Interest::READABLE) }?;
        let mut keeper = pin!(self.thread.turnstile.keep());
        let mut clock = pin!(self.look_at_time());
        let mut is_reading = true;
        poll_fn(|context| {
            loop {
                let signals = self.thread.own().letters.mailbox.signals.all();
                self.thread.own().letters.mailbox.beat(signals);
                if self.thread.own().letters.has_news() {
                    self.take_news();
                }
                if signals & SIGNAL_STOP_READING != 0 && is_reading {
                    is_reading = false;
                    acceptors.clear();
                    self.each_connection(|connection| connection.end_soon());
                }
                if signals & SIGNAL_STOP != 0 {
                    return Poll::Ready(Ok(()));
                }
                match bell.poll_read_ready(context) {
                    Poll::Ready(Ok(mut ready)) => {
                        self.thread.own().letters.mailbox.hear();
                        ready.clear_ready();
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            acceptors.retain_mut(|acceptor| acceptor.as_mut().poll(context).is_pending());
            let _ = keeper.as_mut().poll(context);
            let _ = clock.as_mut().poll(context);
            self.thread.desk.give_asks(context.waker());
            Poll::Pending
        })
        .await
    }

    fn take_news(&self) {
        for news in self.thread.own().letters.take() {
            match news {
                StreamNews::Answer(route, answer) => self.thread.desk.waiting().tell(route, answer),
                StreamNews::GiveWay(holder) => {
                    let handle = handle_of(holder);
                    let connection = self.connections.borrow().get(handle).cloned().flatten();
                    if let Some(connection) = connection {
                        connection.give_way();
                    }
                }
            }
        }
    }

    async fn look_at_time(&self) {
        loop {
            sleep(LOOK_TIME).await;
            let now = monotonic();
            self.thread.desk.set_now(now);
            let idle_s = self.thread.limits().idle_s(self.thread.bounds().idle_s);
            self.each_connection(|connection| connection.look_at_time(now, idle_s));
            self.thread.give_back_memory(now);
        }
    }

    fn each_connection(&self, look: impl Fn(&Connection)) {
        let handles = self.connections.borrow().handles();
        for handle in handles {
            let connection = self.connections.borrow().get(handle).cloned().flatten();
            if let Some(connection) = connection {
                look(&connection);
            }
        }
    }

    // Connections in.

    fn acceptors(self: &Rc<Self>) -> io::Result<Acceptors> {
        let acceptor = |(_, fd): &(Transport, OwnedFd)| {
            let listener = std::net::TcpListener::from(fd.try_clone()?);
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            Ok(Box::pin(accept(Rc::clone(self), listener)) as Pin<Box<dyn Future<Output = ()>>>)
        };
        self.thread.own().sockets.iter().map(acceptor).collect()
    }

    fn admit(&self, stream: TcpStream, address: IpAddr) {
        self.thread.desk.set_now(monotonic());
        let proxies = self.thread.flow().proxies();
        if proxies.has(address) {
            // Whose a proxy's connection is, it says only now: until then it counts as somebody's of its own.
            let somebody = self.thread.shared.streams.nobodies.another();
            return self.enter(stream, somebody, Some(AwaitedHead::new(address)));
        }
        if self.thread.lets_begin(address, self.thread.is_stranger(address)) {
            let awaited = (!proxies.is_empty()).then(|| AwaitedHead::new(address));
            self.enter(stream, address, awaited);
        }
    }

    fn enter(&self, stream: TcpStream, address: IpAddr, awaited: Option<AwaitedHead>) {
        let entry = Entry::new(Rc::clone(&self.thread), Rc::clone(&self.connections));
        let Some(connection) = entry.connect(address) else { return };
        let _ = stream.set_nodelay(true);
        let life = async move {
            match awaited {
                None => live(connection, stream, Vec::new()).await,
                Some(awaited) => Box::pin(live_behind_head(&entry, connection, stream, awaited)).await,
            }
            drop(entry);
        };
        tokio::task::spawn_local(Caught::new(&self.thread, life));
    }
}

async fn accept(serving: Rc<Serving>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => serving.admit(stream, client.ip().to_canonical()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Whoever bound the socket has ended it, and so takes no more connections either.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(_) => {
                serving.thread.count(StreamDrop::AcceptFailed);
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn handle_of(holder: Holder) -> Handle {
    Handle::from_bits(u64::from(holder.generation) << 32 | u64::from(holder.connection))
}
