//! Layers from bytes, and bytes from layers.

use tar::{Builder, Header};

const MAX_LAYERS: usize = 4;
const MAX_ENTRIES: usize = 64;
/// Tar's types of files, hard and symbolic links, devices, directories, sparse files, long names and attributes.
const KINDS: &[u8] = b"0123456SLKxg";
/// Begins another layer.
const NEXT_LAYER: u8 = 0xff;
/// Of name and link in a header.
const MAX_NAME: usize = 100;

/// Puts layers together for [`split`].
pub(super) fn join(layers: &[Vec<u8>]) -> Vec<u8> {
    let length = |layer: &Vec<u8>| u32::try_from(layer.len()).unwrap().to_le_bytes();
    layers.iter().flat_map(|layer| [length(layer).to_vec(), layer.clone()]).flatten().collect()
}

/// Layers, each after its length; the last may be cut off.
pub(super) fn split(mut input: &[u8]) -> Vec<&[u8]> {
    let mut layers = Vec::new();
    while let Some((length, rest)) = input.split_first_chunk::<4>()
        && layers.len() < MAX_LAYERS
    {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap().min(rest.len());
        let (layer, rest) = rest.split_at(length);
        layers.push(layer);
        input = rest;
    }
    layers
}

/// One entry as [`layers`] reads it.
pub(super) fn entry(kind: u8, mode: u8, name: &[u8], link: &[u8], data: &[u8]) -> Vec<u8> {
    let kind = KINDS.iter().position(|known| *known == kind).unwrap();
    let mut bytes = vec![u8::try_from(kind).unwrap(), mode];
    for field in [name, link, data] {
        bytes.push(u8::try_from(field.len()).unwrap());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// Valid tar streams of whatever entries the input names.
pub(super) fn layers(mut input: &[u8]) -> Vec<Vec<u8>> {
    let mut builders = vec![Builder::new(Vec::new())];
    for _ in 0..MAX_ENTRIES {
        match take(&mut input, 1) {
            [] => break,
            [NEXT_LAYER] if builders.len() < MAX_LAYERS => builders.push(Builder::new(Vec::new())),
            [kind, ..] => append(builders.last_mut().unwrap(), *kind, &mut input),
        }
    }
    builders.into_iter().map(|builder| builder.into_inner().unwrap()).collect()
}

fn append(builder: &mut Builder<Vec<u8>>, kind: u8, input: &mut &[u8]) {
    // Nine bits from eight: that of the sticky bit and those of the owner come along.
    let mode = take(input, 1).first().map_or(0, |mode| u32::from(*mode) << 4 | u32::from(*mode) >> 4);
    let (name, link, data) = (field(input), field(input), field(input));
    let mut header = Header::new_gnu();
    let gnu = header.as_gnu_mut().unwrap();
    gnu.typeflag = [KINDS[usize::from(kind) % KINDS.len()]];
    gnu.name[..name.len().min(MAX_NAME)].copy_from_slice(&name[..name.len().min(MAX_NAME)]);
    gnu.linkname[..link.len().min(MAX_NAME)].copy_from_slice(&link[..link.len().min(MAX_NAME)]);
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    header.set_cksum();
    builder.append(&header, data).unwrap();
}

/// Bytes after their length.
fn field<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let length = take(input, 1).first().copied().unwrap_or_default();
    take(input, usize::from(length))
}

/// As many bytes as there are.
fn take<'a>(input: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(length.min(input.len()));
    *input = rest;
    taken
}
