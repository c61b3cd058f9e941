//! Marshalled property maps: one to send, and the flat one of a `WireFormatInfo` to look into.

/// One int property in the marshalled form of a property map; names are short and the generator's own.
pub(crate) fn int_properties(buffer: &mut [u8; 64], name: &str, value: i32) -> usize {
    let name = name.as_bytes();
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        buffer[len..len + bytes.len()].copy_from_slice(bytes);
        len += bytes.len();
    };
    put(&1u32.to_be_bytes());
    put(&(name.len() as u16).to_be_bytes());
    put(name);
    put(&[5]);
    put(&value.to_be_bytes());
    len
}

/// Finds a value in marshalled properties by its key; good enough for the flat map of a `WireFormatInfo`.
fn property<'a>(properties: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut key = (name.len() as u16).to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    let place = properties.windows(key.len()).position(|window| window == key)?;
    properties.get(place + key.len()..)
}

pub(crate) fn flag(properties: &[u8], name: &str) -> bool {
    property(properties, name).is_some_and(|value| value.starts_with(&[1, 1]))
}

pub(crate) fn int_property(properties: &[u8], name: &str) -> Option<usize> {
    let value = property(properties, name)?;
    let bytes: [u8; 4] = value.get(1..5)?.try_into().ok()?;
    (value[0] == 5).then(|| u32::from_be_bytes(bytes) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written is found again by its name; what is not there, or of another type, is not.
    #[test]
    fn written_and_found() {
        let mut buffer = [0; 64];
        let len = int_properties(&mut buffer, "CacheSize", 1024);
        assert_eq!(int_property(&buffer[..len], "CacheSize"), Some(1024));
        assert_eq!(int_property(&buffer[..len - 1], "CacheSize"), None);
        assert_eq!(int_property(&buffer[..len], "Cache"), None);
        assert!(!flag(&buffer[..len], "CacheSize"));
        assert!(flag(b"\x00\x00\x00\x01\x00\x04Flag\x01\x01", "Flag"));
    }
}
