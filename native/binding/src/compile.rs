//! What compiles a policy fast, as Python calls it: lists' plain lines, shared names, the image's table.
//!
//! Knows: how Python's octets and numbers come in and go out.  Does not know: formats, the image's layout.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::{PyBufferError, PyIndexError, PyOverflowError, PyRuntimeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt};
use resolver_core::compile::table::is_name;
use resolver_core::compile::{self, Laid, LayError, NameBatch, NameTable, Rank, Spelling};
use std::ffi::{c_int, c_void};

/// Put this file's classes and functions into the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ListNames>()?;
    module.add_class::<SharedNames>()?;
    module.add_class::<ImageTable>()?;
    module.add_class::<Octets>()?;
    module.add_function(wrap_pyfunction!(read_list_lines, module)?)?;
    module.add_function(wrap_pyfunction!(read_zone_pairs, module)?)
}

/// Wire-form names in little room; a sequence of `bytes`.
#[pyclass(frozen, sequence, module = "resolver_native")]
pub(crate) struct ListNames {
    names: NameBatch,
}

#[pymethods]
impl ListNames {
    fn __len__(&self) -> usize {
        self.names.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyBytes>> {
        let from_end = if index < 0 { self.names.len() } else { 0 };
        let name =
            index.checked_add_unsigned(from_end).and_then(|at| self.names.get(usize::try_from(at).ok()?));
        name.map(|name| PyBytes::new(py, name)).ok_or_else(|| PyIndexError::new_err("no name of this index"))
    }

    /// These names with others among them, by line; `lines` and the others' are in order.
    fn merged<'py>(
        &self,
        py: Python<'py>,
        lines: &Bound<'py, PyBytes>,
        others: Vec<(u32, Bound<'py, PyBytes>)>,
    ) -> PyResult<(Self, Bound<'py, PyBytes>)> {
        let mut names = NameBatch::with_room_for(self.names.octet_count());
        let mut numbers = Vec::with_capacity(self.names.len() + others.len());
        let own = lines_of(lines.as_bytes());
        if own.len() != self.names.len() {
            return Err(PyValueError::new_err("each name has one line"));
        }
        let mut others = others.into_iter().peekable();
        for (name, line) in self.names.iter().zip(own) {
            while let Some((other_line, other)) = others.next_if(|(other_line, _)| *other_line < line) {
                names.push(other.as_bytes());
                numbers.push(other_line);
            }
            names.push(name);
            numbers.push(line);
        }
        for (line, name) in others {
            names.push(name.as_bytes());
            numbers.push(line);
        }
        Ok((Self { names }, line_octets(py, &numbers)?))
    }
}

fn lines_of(octets: &[u8]) -> Vec<u32> {
    let word = |octets: &[u8]| octets.try_into().map_or(0, u32::from_ne_bytes);
    octets.chunks_exact(4).map(word).collect()
}

fn line_octets<'py>(py: Python<'py>, lines: &[u32]) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, 4 * lines.len(), |octets| {
        for (place, line) in octets.chunks_exact_mut(4).zip(lines) {
            place.copy_from_slice(&line.to_ne_bytes());
        }
        Ok(())
    })
}

/// What one chunk holds: plain names, their lines (32 bits each), and every other line with its number.
type ReadLines<'py> = (ListNames, Bound<'py, PyBytes>, Vec<(u32, Bound<'py, PyBytes>)>);

/// Read whole lines of a list.  Raises `ValueError` for a format that is not read here.
#[pyfunction]
fn read_list_lines<'py>(
    py: Python<'py>,
    list_format: &str,
    chunk: &Bound<'py, PyBytes>,
    first_line: u32,
) -> PyResult<ReadLines<'py>> {
    let spelling = Spelling::of(list_format).ok_or_else(|| PyValueError::new_err("no format read here"))?;
    let read = compile::read_lines(spelling, chunk.as_bytes(), first_line);
    let odd = read.odd.iter().map(|&(line, octets)| (line, PyBytes::new(py, octets))).collect();
    Ok((ListNames { names: read.names }, line_octets(py, &read.lines)?, odd))
}

/// The names of a stretch of a zone that is `x CNAME .` and `*.x CNAME .` from end to end, else `None`.
///
/// `suffix`: the zone's name between dots, in lower case, or nothing.
#[pyfunction]
fn read_zone_pairs(text: &Bound<'_, PyBytes>, suffix: &Bound<'_, PyBytes>) -> Option<ListNames> {
    compile::read_pairs(text.as_bytes(), suffix.as_bytes()).map(|names| ListNames { names })
}

/// Finds the names under which strangers have theirs.
#[pyclass(frozen, module = "resolver_native")]
pub(crate) struct SharedNames {
    shared: compile::SharedNames,
}

#[pymethods]
impl SharedNames {
    #[new]
    fn new(known: Vec<Bound<'_, PyBytes>>, above: Vec<Bound<'_, PyBytes>>) -> Self {
        let known = known.iter().map(|name| name.as_bytes());
        let above = above.iter().map(|name| name.as_bytes());
        Self { shared: compile::SharedNames::new(known, above) }
    }

    /// Those of `names` that are known, or of two labels with the last one of `above`.
    fn find_in<'py>(&self, py: Python<'py>, names: &ListNames) -> Vec<Bound<'py, PyBytes>> {
        let found = names.names.iter().filter(|name| self.shared.contains(name));
        found.map(|name| PyBytes::new(py, name)).collect()
    }
}

/// Octets that others may look at where they are.
#[pyclass(frozen, module = "resolver_native")]
pub(crate) struct Octets {
    held: Held,
}

enum Held {
    Octets(Vec<u8>),
    Words(Vec<u32>),
}

#[pymethods]
impl Octets {
    fn __len__(&self) -> usize {
        match &self.held {
            Held::Octets(octets) => octets.len(),
            Held::Words(words) => 4 * words.len(),
        }
    }

    /// # Safety
    ///
    /// Called by the interpreter alone, with a buffer to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("no buffer to fill"));
        }
        let held = slf.get();
        let first: *const c_void = match &held.held {
            Held::Octets(octets) => octets.as_ptr().cast(),
            Held::Words(words) => words.as_ptr().cast(),
        };
        let count = held.__len__() as ffi::Py_ssize_t;
        // SAFETY: `view` is not null; the octets neither move nor change nor go while this frozen object
        // lives, to which the filled buffer keeps a reference; the buffer is filled as read-only.
        let filled = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), first.cast_mut(), count, 1, flags) };
        if filled == -1 {
            return Err(PyErr::fetch(slf.py()));
        }
        Ok(())
    }
}

/// The names of an image: gathers them, then is laid.
#[pyclass(module = "resolver_native")]
pub(crate) struct ImageTable {
    /// `None`: it is laid.
    gathering: Option<NameTable>,
    /// Bit 0: some owner is a top-level domain; bit 1: some owner is the root.
    #[pyo3(get)]
    flags: u32,
    /// How many slots names are hashed to; 0: not laid.
    #[pyo3(get)]
    homes: usize,
    duplicates: Py<PyDict>,
    tags: Option<Py<Octets>>,
    places: Option<Py<Octets>>,
    blob: Option<Py<Octets>>,
}

#[pymethods]
impl ImageTable {
    #[new]
    fn new(py: Python<'_>, seed: u64) -> Self {
        Self {
            gathering: Some(NameTable::new(seed)),
            flags: 0,
            homes: 0,
            duplicates: PyDict::new(py).unbind(),
            tags: None,
            places: None,
            blob: None,
        }
    }

    /// Add names of one class, each with its line.  Raises `OverflowError` when a limit is met, `ValueError`
    /// for what is no name.
    #[pyo3(signature = (class_id, names, lines, *, is_exception, is_deep))]
    fn add_names(
        &mut self,
        class_id: u16,
        names: &Bound<'_, PyAny>,
        lines: &Bound<'_, PyAny>,
        is_exception: bool,
        is_deep: bool,
    ) -> PyResult<()> {
        let table = self.gathering.as_mut().ok_or_else(|| PyRuntimeError::new_err("the table is laid"))?;
        let packed = names.cast::<ListNames>();
        let written;
        let names = match &packed {
            Ok(names) => &names.get().names,
            Err(_) => {
                written = names_from(names)?;
                &written
            }
        };
        let lines = lines_from(lines)?;
        if lines.len() != names.len() {
            return Err(PyValueError::new_err("each name has one line"));
        }
        table.add_batch(class_id, names, &lines).map_err(|full| PyOverflowError::new_err(full.0))?;
        for name in names.iter().filter(|_| is_exception) {
            table.note_exception(class_id, name);
        }
        for name in names.iter().filter(|_| !is_deep) {
            table.note_depth(name);
        }
        self.flags = u32::from(table.has_top_level_owner) | u32::from(table.has_root_owner) << 1;
        Ok(())
    }

    /// Lay the table; nothing can be added afterwards.
    ///
    /// `ranks`: tier, effect, form and file index of each class.  `marker_of` gives the class of the marks of
    /// a class.  Raises `OverflowError` when a limit is met, and what `marker_of` raises.
    fn lay(
        &mut self,
        py: Python<'_>,
        ranks: Vec<(u8, u8, u8, u16)>,
        marker_of: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let table = self.gathering.take().ok_or_else(|| PyRuntimeError::new_err("the table is laid"))?;
        let rank = |(tier, effect, form, file_index)| Rank { tier, effect, form, file_index };
        let laid = table.lay(ranks.into_iter().map(rank).collect(), |class_id| {
            marker_of.call1((class_id,))?.extract::<u16>()
        });
        let Laid { tags, places, blob, homes, duplicates } = laid.map_err(|error| match error {
            LayError::Full(full) => PyOverflowError::new_err(full.0),
            LayError::Marker(error) => error,
        })?;
        self.homes = homes;
        self.tags = Some(Py::new(py, Octets { held: Held::Octets(tags) })?);
        self.places = Some(Py::new(py, Octets { held: Held::Words(places) })?);
        self.blob = Some(Py::new(py, Octets { held: Held::Octets(blob) })?);
        for (class_id, count) in duplicates {
            self.duplicates.bind(py).set_item(class_id, count)?;
        }
        Ok(())
    }

    /// Names dropped because their class has them already: {class id: count}; known when it is laid.
    #[getter]
    fn duplicates(&self, py: Python<'_>) -> Py<PyDict> {
        self.duplicates.clone_ref(py)
    }

    /// The section TAGS; this and the next two are known when it is laid.
    #[getter]
    fn tags(&self, py: Python<'_>) -> Option<Py<Octets>> {
        self.tags.as_ref().map(|octets| octets.clone_ref(py))
    }

    /// The section PLACES.
    #[getter]
    fn places(&self, py: Python<'_>) -> Option<Py<Octets>> {
        self.places.as_ref().map(|octets| octets.clone_ref(py))
    }

    /// The section BLOB.
    #[getter]
    fn blob(&self, py: Python<'_>) -> Option<Py<Octets>> {
        self.blob.as_ref().map(|octets| octets.clone_ref(py))
    }
}

fn names_from(names: &Bound<'_, PyAny>) -> PyResult<NameBatch> {
    let mut batch = NameBatch::default();
    for name in names.try_iter()? {
        let name = name?;
        let octets = name.cast::<PyBytes>()?.as_bytes();
        if !is_name(octets) {
            return Err(PyValueError::new_err("a name is not in wire form"));
        }
        batch.push(octets);
    }
    Ok(batch)
}

fn lines_from(lines: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    match PyBuffer::<u32>::get(lines) {
        Ok(buffer) => buffer.to_vec(lines.py()),
        Err(_) => lines.try_iter()?.map(|line| line?.cast::<PyInt>()?.extract::<u32>()).collect(),
    }
}
