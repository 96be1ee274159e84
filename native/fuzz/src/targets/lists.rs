//! Texts of lists through the line readers: well-formed names in order, whatever stands in the text.
//!
//! Knows: what must hold of what was read.  Does not know: what an odd line means.
//! A case: the place of the format among `FORMATS` (one octet), then the text.

use resolver_core::compile::table::is_name;
use resolver_core::compile::{read_lines, read_pairs, NameTable, Rank, SharedNames, Spelling};

use super::target::{claim, Target};
use crate::chance::Chance;
use crate::{corpus, mutate, names};

const FORMATS: [&str; 5] = ["domains", "hosts", "wildcard", "adblock", "dnsmasq"];
/// What lists are made of.
const WORDS: [&str; 24] = [
    "0.0.0.0 ",
    "127.0.0.1\t",
    "::1 ",
    ":: ",
    "||",
    "^",
    "@@||",
    "*.",
    ".",
    "#",
    "!",
    "\r\n",
    "\n",
    " ",
    "address=/",
    "/",
    "server=/",
    "local=/",
    " CNAME .\n",
    "a.example",
    "B-1.Example",
    "xn--",
    "_dns.",
    "localhost",
];
/// Longest text: a chunk of a list is longer, but its lines are not.
const OCTETS_MAX: usize = 4096;

/// See the module's text.
pub struct Lists {
    corpus: Vec<&'static [u8]>,
    shared: SharedNames,
    names: u64,
    odd: u64,
    pairs: u64,
}

impl Lists {
    pub fn new() -> Lists {
        let known: [&[u8]; 1] = [b"\x01a\x07example\0"];
        let above: [&[u8]; 1] = [b"\x03com\0"];
        let shared = SharedNames::new(known, above);
        Lists { corpus: corpus::lists(), shared, names: 0, odd: 0, pairs: 0 }
    }

    /// Lay a table of these names: every one has its place, and no other octets stand in the blob.
    fn lay(&self, names: &[&[u8]], lines: &[u32]) -> Result<(), String> {
        let mut table = NameTable::new(lines.first().copied().unwrap_or(0).into());
        for (place, (name, &line)) in names.iter().zip(lines).enumerate() {
            let class_id = (place % 3) as u16;
            table.add(class_id, name, line).map_err(|full| full.0.to_owned())?;
            table.note_depth(name);
            if class_id == 2 {
                table.note_exception(class_id, name);
            }
        }
        let rank = |class: u8| Rank {
            tier: class,
            effect: if class == 2 { 1 } else { 2 },
            form: class,
            file_index: 0,
        };
        let laid = table.lay(vec![rank(0), rank(1), rank(2)], |_| Ok::<u16, ()>(3));
        let laid = laid.map_err(|error| format!("{error:?}"))?;
        claim(laid.tags.len() == laid.places.len(), "as many tags as places")?;
        claim(laid.tags.len() > laid.homes && laid.tags.last() == Some(&0), "no free slot at the end")?;
        let stands = |&place: &u32| laid.blob.get(place as usize..).is_some_and(|blob| !blob.is_empty());
        claim(laid.places.iter().all(stands), "a place outside the blob")?;
        let distinct: std::collections::HashSet<&&[u8]> = names.iter().collect();
        let taken = laid.tags.iter().filter(|&&tag| tag != 0).count();
        claim(taken >= distinct.len(), "a name has no slot")
    }
}

/// A stretch of a response policy zone, nearly always what `read_pairs` reads.
fn pairs(chance: &mut Chance) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..chance.below(12) {
        let name = format!("{}.Example{}", chance.below(100), [".rpz.example.", ""][chance.below(2)]);
        let middle = [" CNAME .", " 60 IN CNAME .", "\tin\tcname ."][chance.below(3)];
        let star = if chance.one_in(30) { WORDS[chance.below(WORDS.len())] } else { "*." };
        text.extend(format!("{name}{middle}\n{star}{name}{middle}\n").bytes());
    }
    text
}

impl Target for Lists {
    fn name(&self) -> &'static str {
        names::LISTS
    }

    fn make(&mut self, chance: &mut Chance) -> Vec<u8> {
        let (place, other) = (chance.below(self.corpus.len()), chance.below(self.corpus.len()));
        let mut text = if chance.one_in(8) {
            pairs(chance)
        } else if chance.one_in(2) {
            (0..chance.below(40)).flat_map(|_| WORDS[chance.below(WORDS.len())].bytes()).collect()
        } else {
            mutate::mutated(self.corpus[place], self.corpus[other], chance)
        };
        text.truncate(OCTETS_MAX);
        text.insert(0, chance.octet());
        text
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        let every = |text: &&[u8]| -> Vec<Vec<u8>> {
            (0..FORMATS.len()).map(|place| [&[place as u8], *text].concat()).collect()
        };
        self.corpus.iter().flat_map(every).collect()
    }

    fn run(&mut self, case: &[u8]) -> Result<(), String> {
        let Some((&place, text)) = case.split_first() else { return Ok(()) };
        let format = FORMATS[usize::from(place) % FORMATS.len()];
        let spelling = Spelling::of(format).ok_or("a format without a spelling")?;
        let read = read_lines(spelling, text, 1);
        let names: Vec<&[u8]> = read.names.iter().collect();
        self.names += names.len() as u64;
        self.odd += read.odd.len() as u64;
        claim(names.len() == read.lines.len(), "a name without a line")?;
        claim(names.iter().all(|name| is_name(name)), "a name that is none")?;
        let is_lower = |name: &&[u8]| !name.iter().any(u8::is_ascii_uppercase);
        claim(names.iter().all(is_lower), "a name in upper case")?;
        claim(read.lines.windows(2).all(|pair| pair[0] <= pair[1]), "lines out of order")?;
        let lines = text.iter().filter(|&&octet| octet == b'\n').count();
        let odd: Vec<u32> = read.odd.iter().map(|(line, _)| *line).collect();
        claim(read.lines.iter().chain(&odd).all(|&line| line as usize <= lines && line > 0), "no such line")?;
        claim(!read.lines.iter().any(|line| odd.binary_search(line).is_ok()), "a line is read twice")?;
        let text_lines: Vec<&[u8]> = text.split(|&octet| octet == b'\n').collect();
        let is_there = |(line, octets): &(u32, &[u8])| text_lines.get(*line as usize - 1) == Some(octets);
        claim(read.odd.iter().all(is_there), "an odd line is another")?;
        self.names += names.iter().filter(|name| self.shared.contains(name)).count() as u64;
        if let Some(pairs) = read_pairs(text, b".rpz.example.") {
            self.pairs += pairs.len() as u64;
            claim(pairs.iter().all(is_name), "a pair's name is none")?;
        }
        self.lay(&names, &read.lines)
    }

    fn facts(&self) -> String {
        format!("{} names, {} odd lines, {} pairs", self.names, self.odd, self.pairs)
    }
}
