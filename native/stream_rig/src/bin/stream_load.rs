//! A load of encrypted streams, for what dnsperf and h2load do not do; prints one line of JSON.
//!
//! ```text
//! stream_load new      KIND PORT MESSAGE SECONDS       connect, ask once, close; eight at a time, full handshakes
//! stream_load again    KIND PORT MESSAGE SECONDS       the same with a session ticket
//! stream_load gathered KIND PORT MESSAGE SECONDS       16 connections, 16 queries in each write
//! stream_load idle     KIND PORT MESSAGE COUNT         COUNT connections that asked once, until standard input ends
//! stream_load rate     KIND PORT MESSAGE SECONDS RATE  RATE new connections a second
//! ```
//!
//! Knows: the clock, threads.  Does not know: what a server costs; who reads its processor time starts this.
//! KIND is tcp, tls or https; MESSAGE a query in hexadecimal.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::io::{Read, Result, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use resolver_stream_rig::clients::{framed, Client, Kind};
use resolver_stream_rig::http2;

/// New connections at a time.
const WORKERS: usize = 8;
const GATHERING_CONNECTIONS: usize = 16;
const GATHERED: usize = 16;
/// Failures after which a worker gives up: a server that refuses everything is no reading.
const FAILURES_MAX: usize = 50;

#[derive(Clone)]
struct Job {
    kind: Kind,
    port: u16,
    message: Vec<u8>,
    until: Instant,
}

#[derive(Default)]
struct Seen {
    completed: usize,
    resumed: usize,
    failed: usize,
    handshakes: BTreeMap<String, usize>,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.completed += other.completed;
        self.resumed += other.resumed;
        self.failed += other.failed;
        for (what, count) in other.handshakes {
            *self.handshakes.entry(what).or_default() += count;
        }
    }

    fn to_json(&self, seconds: f64) -> String {
        let handshakes: Vec<String> =
            self.handshakes.iter().map(|(what, count)| format!("\"{what}\": {count}")).collect();
        format!(
            "{{\"completed\": {}, \"resumed\": {}, \"failed\": {}, \"seconds\": {seconds:.3}, \"handshakes\": {{{}}}}}",
            self.completed,
            self.resumed,
            self.failed,
            handshakes.join(", ")
        )
    }
}

/// Open, ask once, close: with the tickets of the last time, or without any.
fn open_once(client: &mut Client, job: &Job, with_tickets: bool, seen: &mut Seen) {
    if !with_tickets {
        client.forget();
    }
    match client.open(&job.message) {
        Ok(connection) => {
            seen.completed += 1;
            if let Some((version, group, resumed)) = connection.handshake() {
                seen.resumed += usize::from(resumed);
                *seen.handshakes.entry(format!("{version} {group}")).or_default() += 1;
            }
        }
        Err(_) => seen.failed += 1,
    }
}

fn open_again_and_again(job: &Job, with_tickets: bool) -> Seen {
    let (mut client, mut seen) = (Client::new(job.kind, job.port), Seen::default());
    // The first one has no ticket yet, so it is none of those that are counted.
    if with_tickets && client.open(&job.message).is_err() {
        seen.failed += 1;
    }
    while Instant::now() < job.until && seen.failed < FAILURES_MAX {
        open_once(&mut client, job, with_tickets, &mut seen);
    }
    seen
}

fn ask_gathered(job: &Job) -> Result<usize> {
    let mut connection = Client::new(job.kind, job.port).open(&job.message)?;
    let (mut completed, mut stream) = (0, 1);
    let frames = framed(&job.message).repeat(GATHERED);
    while Instant::now() < job.until {
        if job.kind == Kind::Https {
            let mut requests = Vec::new();
            for _ in 0..GATHERED {
                stream += 2;
                http2::request(&mut requests, stream, &job.message);
            }
            connection.ask(&requests, GATHERED)?;
        } else {
            connection.ask(&frames, GATHERED)?;
        }
        completed += GATHERED;
    }
    Ok(completed)
}

fn gathered(job: &Job) -> Seen {
    match ask_gathered(job) {
        Ok(completed) => Seen { completed, ..Seen::default() },
        Err(_) => Seen { failed: 1, ..Seen::default() },
    }
}

/// New connections at a fixed rate, from as many threads as it takes; one that is late is opened all the same.
fn at_rate(job: &Job, rate: f64, next: &AtomicUsize, began: Instant) -> Seen {
    let (mut client, mut seen) = (Client::new(job.kind, job.port), Seen::default());
    loop {
        let due = began + Duration::from_secs_f64(next.fetch_add(1, Ordering::Relaxed) as f64 / rate);
        if due >= job.until {
            return seen;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        open_once(&mut client, job, false, &mut seen);
    }
}

fn together(workers: usize, run: impl Fn() -> Seen + Send + Sync + 'static) -> Seen {
    let run = Arc::new(run);
    let threads: Vec<_> = (0..workers)
        .map(|_| {
            let run = Arc::clone(&run);
            thread::spawn(move || run())
        })
        .collect();
    let mut seen = Seen::default();
    for thread in threads {
        seen.add(thread.join().unwrap_or(Seen { failed: 1, ..Seen::default() }));
    }
    seen
}

/// Open so many, say so, and hold them until standard input ends.
fn hold(job: &Job, count: usize) -> Result<()> {
    let client = Client::new(job.kind, job.port);
    let mut held = Vec::new();
    for _ in 0..count {
        let mut connection = client.open(&job.message)?;
        if job.kind == Kind::Https {
            connection.say(&http2::agreement())?;
        }
        held.push(connection);
    }
    println!("{{\"completed\": {count}}}");
    std::io::stdout().flush()?;
    if job.kind == Kind::Https {
        // A server may ask for something once more when they are quiet; where it does not of one, it does of none.
        thread::spawn(move || {
            held.iter_mut().all(|connection| connection.agree().is_ok());
            thread::park();
        });
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn octets_of(hexadecimal: &str) -> Option<Vec<u8>> {
    (0..hexadecimal.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hexadecimal.get(at..at + 2)?, 16).ok())
        .collect()
}

fn main() -> std::result::Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [load, kind, port, message, amount, rest @ ..] = &words[..] else {
        return Err("usage: stream_load LOAD KIND PORT MESSAGE SECONDS|COUNT [RATE]".to_owned());
    };
    let kind = Kind::named(kind).ok_or("KIND is tcp, tls or https")?;
    let port = port.parse().map_err(|_| "PORT is no port")?;
    let message = octets_of(message).ok_or("MESSAGE is not hexadecimal")?;
    let amount: f64 = amount.parse().map_err(|_| "SECONDS is no number")?;
    let began = Instant::now();
    let job = Job { kind, port, message, until: began + Duration::from_secs_f64(amount) };
    let seen = match &load[..] {
        "new" => together(WORKERS, move || open_again_and_again(&job, false)),
        "again" => together(WORKERS, move || open_again_and_again(&job, true)),
        "gathered" => together(GATHERING_CONNECTIONS, move || gathered(&job)),
        "rate" => {
            let rate: f64 = rest.first().and_then(|word| word.parse().ok()).ok_or("RATE is missing")?;
            let next = AtomicUsize::new(0);
            together(WORKERS, move || at_rate(&job, rate, &next, began))
        }
        "idle" => return hold(&job, amount as usize).map_err(|error| error.to_string()),
        _ => return Err("LOAD is new, again, gathered, idle or rate".to_owned()),
    };
    println!("{}", seen.to_json(began.elapsed().as_secs_f64()));
    Ok(())
}
