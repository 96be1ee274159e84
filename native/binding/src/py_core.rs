//! The class `Core`: the request flow without sockets, and what it counts on all threads.
//!
//! Knows: the flow, images in files.  Does not know: sockets, threads, how an answer is made.

use std::collections::HashMap;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use resolver_core::flow::{
    AuditSecret, ClientNames, Clients, Entered, Flow, FlowConfig, HitId, Networks, Outcome, Proxies,
    RateLimiter, Source, UpstreamView, SECRET_OCTETS_MIN,
};
use resolver_core::local::LocalNames;
use resolver_core::policy::{Image, PolicyTable};
use resolver_core::wire::carried_addresses::Nat64Prefix;
use resolver_core::wire::encode::NSID_OCTETS_MAX;

use crate::fields::{address_from, structured_from, transport_from, StructuredFields};
use crate::py_cache::Cache;
use crate::py_records::{recorded_from, Records};
use crate::py_upstreams::{servers_from, set_from, ServerFields, SetFields};
use crate::shared_flow::{SharedFlow, ThreadCounts};

/// Units of the TCP keepalive in a second (RFC 7828 §3.1).
const KEEPALIVE_UNITS_PER_S: f64 = 10.0;

/// What tells one file from another, and from itself after a change.
type FileMark = (u64, u64, u64, i64, i64);

/// See the stub file.
#[pyclass(frozen, module = "resolver_native")]
pub struct Core {
    /// Shared with every plane over it.
    pub shared_flow: Arc<SharedFlow>,
    counts: Arc<Mutex<ThreadCounts>>,
    /// Where a message for Python is written.
    out: Mutex<Vec<u8>>,
    /// The image that was published last, to be used again while its file is the same.
    image: Mutex<Option<(FileMark, Arc<Image>)>>,
}

/// What became of a query, as the number that crosses the line.
pub fn word_of(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Respond => 0,
        Outcome::Drop { close: false } => 1,
        Outcome::Drop { close: true } => 2,
        Outcome::Ask => 3,
        Outcome::Punt => 4,
    }
}

type Network = (Vec<u8>, u8);
type Record = (Vec<u8>, Vec<Vec<u8>>);
type Key = (&'static str, &'static str, [Option<&'static str>; 3], HitId, HitId);

#[pymethods]
impl Core {
    #[new]
    #[pyo3(signature = (cache, *, allow, rate_limit_qps, records, tcp_idle_s, in_flight_max, waiters_max,
                        waiting_max, query_records="none", record_details=false, record_octets=1_048_576,
                        rotate_addresses=true, audit_secret=None, structured_errors=None, resinfo=Vec::new(),
                        nsid=Vec::new(), blocks_relay=false, proxies=Vec::new(), trusted_proxies=Vec::new(),
                        names_in_path=false, names_below=""))]
    #[allow(clippy::too_many_arguments)] // Each is a setting of its own, given by name.
    fn new(
        cache: &Cache,
        allow: Vec<Network>,
        rate_limit_qps: u32,
        records: Vec<Record>,
        tcp_idle_s: f64,
        in_flight_max: usize,
        waiters_max: usize,
        waiting_max: usize,
        query_records: &str,
        record_details: bool,
        record_octets: usize,
        rotate_addresses: bool,
        audit_secret: Option<Vec<u8>>,
        structured_errors: Option<StructuredFields>,
        resinfo: Vec<u8>,
        nsid: Vec<u8>,
        blocks_relay: bool,
        proxies: Vec<Network>,
        trusted_proxies: Vec<Network>,
        names_in_path: bool,
        names_below: &str,
    ) -> PyResult<Core> {
        let network = |(address, bits): &Network| Ok((address_from(address)?, *bits));
        let record = |(name, addresses): &Record| {
            let addresses = addresses.iter().map(|address| address_from(address));
            Ok((name.clone(), addresses.collect::<PyResult<Vec<IpAddr>>>()?))
        };
        let secret = |octets: Vec<u8>| {
            AuditSecret::new(&octets).ok_or_else(|| {
                PyValueError::new_err(format!("a secret has {SECRET_OCTETS_MIN} octets or more"))
            })
        };
        let records = records.iter().map(record).collect::<PyResult<Vec<_>>>()?;
        let local = LocalNames::new(&records).with_resinfo(resinfo);
        let config = FlowConfig {
            clients: Clients::new(&allow.iter().map(network).collect::<PyResult<Vec<_>>>()?),
            limiter: (rate_limit_qps > 0).then(|| RateLimiter::new(rate_limit_qps)),
            rotate_addresses,
            local: if blocks_relay { local.with_relay_blocked() } else { local },
            structured_errors: structured_errors.map(structured_from),
            keepalive_units: ((tcp_idle_s * KEEPALIVE_UNITS_PER_S) as u16).to_be_bytes(),
            nsid,
            client_names: ClientNames::new(names_in_path, names_below),
            proxies: Proxies::new(&proxies.iter().map(network).collect::<PyResult<Vec<_>>>()?),
            trusted_proxies: Networks::new(
                &trusted_proxies.iter().map(network).collect::<PyResult<Vec<_>>>()?,
            ),
            in_flight_max,
            waiters_max,
            waiting_max,
            audit_secret: audit_secret.map(secret).transpose()?,
        };
        if config.nsid.len() > NSID_OCTETS_MAX {
            return Err(PyValueError::new_err(format!("an NSID has at most {NSID_OCTETS_MAX} octets")));
        }
        let recorded = recorded_from(query_records)?.map(|recorded| (recorded, record_details));
        let flow = Flow::new(config, Arc::clone(&cache.inner));
        let shared_flow = Arc::new(SharedFlow::new(flow, Arc::clone(&cache.guard), recorded));
        let counts = shared_flow.new_counts(record_octets);
        Ok(Core { shared_flow, counts, out: Mutex::default(), image: Mutex::new(None) })
    }

    #[pyo3(signature = (path, generation, wall, monotonic, nat64_prefixes=Vec::new()))]
    fn publish(
        &self,
        py: Python<'_>,
        path: std::path::PathBuf,
        generation: u64,
        wall: f64,
        monotonic: f64,
        nat64_prefixes: Vec<([u8; 16], u8)>,
    ) -> PyResult<()> {
        let prefix = |(octets, length): ([u8; 16], u8)| {
            Nat64Prefix::new(octets, length)
                .ok_or_else(|| PyValueError::new_err(format!("a NAT64 prefix of {length} bits")))
        };
        let prefixes = nat64_prefixes.into_iter().map(prefix).collect::<PyResult<Vec<_>>>()?;
        let publish = || {
            let image = self.open_image(&path)?;
            let table = PolicyTable::new(image, generation, wall, monotonic);
            self.shared_flow.flow.publish(table.with_nat64_prefixes(&prefixes));
            Ok(())
        };
        py.detach(|| self.shared_flow.guard.call_or_raise(publish))
    }

    fn withdraw(&self) {
        self.shared_flow.flow.withdraw();
    }

    fn publish_notifiers(&self, addresses: Vec<Vec<u8>>) -> PyResult<()> {
        let addresses =
            addresses.iter().map(|address| address_from(address)).collect::<PyResult<Vec<_>>>()?;
        self.shared_flow.flow.publish_notifiers(addresses);
        Ok(())
    }

    fn designate(&self, name: &[u8], rdatas: Vec<Vec<u8>>) {
        self.shared_flow.flow.designate(name, rdatas);
    }

    fn publish_upstreams(&self, servers: Vec<ServerFields<'_>>, sets: Vec<SetFields>) -> PyResult<()> {
        let servers = servers_from(servers, &self.shared_flow.servers())?;
        let sets = sets.into_iter().map(|set| set_from(set, &servers)).collect::<PyResult<_>>()?;
        self.shared_flow.guard.call_or_raise(|| {
            // Before the sets that speak of them.
            if !self.shared_flow.set_servers(servers) {
                return Err(PyValueError::new_err("an upstream's number must keep its meaning"));
            }
            self.shared_flow.flow.publish_upstreams(UpstreamView::new(sets));
            Ok(())
        })
    }

    #[pyo3(signature = (octets, address, transport, now, name=""))]
    fn answer<'py>(
        &self,
        py: Python<'py>,
        octets: &[u8],
        address: &[u8],
        transport: u8,
        now: f64,
        name: &str,
    ) -> PyResult<(u8, Bound<'py, PyBytes>)> {
        let flow = &self.shared_flow.flow;
        let peer = flow.named_peer(address_from(address)?, transport_from(transport)?, name);
        let policy = self.shared_flow.flow.policy();
        let nothing = || PyBytes::new(py, b"");
        let Some(policy) = policy.as_deref() else { return Ok((word_of(Outcome::Punt), nothing())) };
        let answer = || {
            let began = Instant::now();
            let out = &mut *self.out.lock();
            let mut counts = self.counts.lock();
            let tallies = &mut counts.tallies;
            let outcome = self.shared_flow.flow.answer_now(policy, octets, &peer, now, out, tallies);
            tallies.settle(began.elapsed().as_secs_f64());
            let message = if outcome == Outcome::Respond { PyBytes::new(py, out) } else { nothing() };
            (word_of(outcome), message)
        };
        Ok(self.shared_flow.guard.call(|| (word_of(Outcome::Punt), nothing()), answer))
    }

    fn tallies<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let sums = py.detach(|| self.shared_flow.guard.call_or_raise(|| Ok(self.sum_up())))?;
        let hit =
            |id: HitId| self.shared_flow.flow.hit(id).map(|hit| (hit.kind, hit.label, hit.action, hit.mode));
        let rows =
            sums.into_iter().map(|((transport, qtype, [rcode, source, reason], enforced, shadow), sum)| {
                let (count, seconds) = sum;
                (transport, qtype, rcode, source, reason, hit(enforced), hit(shadow), count, seconds)
            });
        PyList::new(py, rows.collect::<Vec<_>>())
    }

    fn late<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let sum_up = || {
            Ok(Source::ALL.map(|source| {
                let mut sum = [0; resolver_core::flow::SECONDS_BOUNDS.len() + 1];
                for counts in self.shared_flow.all_counts() {
                    for (total, more) in sum.iter_mut().zip(counts.lock().tallies.late(source)) {
                        *total += more;
                    }
                }
                sum
            }))
        };
        let sums = py.detach(|| self.shared_flow.guard.call_or_raise(sum_up))?;
        let late = PyDict::new(py);
        for (source, sum) in Source::ALL.iter().zip(sums) {
            late.set_item(source.label(), sum.to_vec())?;
        }
        Ok(late)
    }

    fn audited(&self, py: Python<'_>) -> PyResult<u64> {
        let sum =
            || Ok(self.shared_flow.all_counts().iter().map(|counts| counts.lock().tallies.audited()).sum());
        py.detach(|| self.shared_flow.guard.call_or_raise(sum))
    }

    fn take_records(&self, py: Python<'_>) -> PyResult<Records> {
        let shared_flow = &self.shared_flow;
        let taken = py.detach(|| shared_flow.guard.call_or_raise(|| Ok(shared_flow.take_records())))?;
        Ok(Records::new(taken, Arc::clone(&shared_flow.guard)))
    }

    #[pyo3(signature = (*, only_blocked))]
    fn records_lost(&self, py: Python<'_>, only_blocked: bool) -> u64 {
        // A reader that copies records out has the lock, and is in no hurry.
        py.detach(|| self.shared_flow.records_lost(only_blocked))
    }

    fn enter(&self, address: &[u8], mark: u64) -> PyResult<u8> {
        let address = address_from(address)?;
        let flow = &self.shared_flow.flow;
        Ok(self.shared_flow.guard.call(|| Entered::Yes, || flow.enter(address, mark)) as u8)
    }

    fn leave(&self, address: &[u8], mark: u64) -> PyResult<()> {
        let address = address_from(address)?;
        self.shared_flow.guard.call(|| (), || self.shared_flow.flow.leave(address, mark));
        Ok(())
    }

    #[getter]
    fn in_flight(&self) -> usize {
        self.shared_flow.flow.in_flight()
    }

    #[getter]
    fn waiting(&self) -> usize {
        self.shared_flow.flow.waiting()
    }
}

impl Core {
    /// The image in a file, read whole; or the one published last, if that is still the same file.
    fn open_image(&self, path: &std::path::Path) -> PyResult<Arc<Image>> {
        let unusable = |why: String| PyValueError::new_err(format!("{}: {why}", path.display()));
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        let stat = file.metadata().map_err(|error| unusable(error.to_string()))?;
        let mark = (stat.dev(), stat.ino(), stat.len(), stat.mtime(), stat.mtime_nsec());
        let mut last = self.image.lock();
        if let Some((known, image)) = &*last {
            if *known == mark {
                return Ok(Arc::clone(image));
            }
        }
        // SAFETY: images are written once under another name, renamed, and never changed in place; what reads
        // them checks every offset it follows, whatever the octets.
        let mapped = unsafe { memmap2::Mmap::map(&file) }.map_err(|error| unusable(error.to_string()))?;
        let image = Image::open(Box::new(mapped)).map_err(|error| unusable(error.0))?;
        image.verify().map_err(|error| unusable(error.0))?;
        let image = Arc::new(image);
        *last = Some((mark, Arc::clone(&image)));
        Ok(image)
    }

    fn sum_up(&self) -> HashMap<Key, (u64, f64)> {
        let mut sums: HashMap<Key, (u64, f64)> = HashMap::new();
        for counts in self.shared_flow.all_counts() {
            let rows = counts.lock().tallies.rows();
            for row in rows {
                let words = [row.rcode, row.source, row.reason];
                let sum =
                    sums.entry((row.transport, row.qtype, words, row.enforced, row.shadow)).or_default();
                sum.0 += row.count;
                sum.1 += row.seconds;
            }
        }
        sums
    }
}
