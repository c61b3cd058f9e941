//! Auth components written by hand: a core module in text with the functions of the world, made a component.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The wishes of `describe`.
pub(crate) const LOGINS: u32 = 910;
pub(crate) const PASSWORDS: u32 = 911;
pub(crate) const RIGHTS: u32 = 912;
pub(crate) const MESSAGES: u32 = 913;

/// Body of `authenticate` that lets in somebody called "guest" without groups, to be asked again at once.
pub(crate) const ADMIT: &str = r#"
    (i32.store8 (i32.const 256) (i32.const 3))
    (i32.store (i32.const 264) (i32.const 1024)) (i32.store (i32.const 268) (i32.const 5))
    (i32.const 256)"#;
/// Body of `authorize` that allows one request, to be asked again at once.
pub(crate) const ALLOW: &str = "(i32.store8 (i32.const 256) (i32.const 2)) (call $answer (i32.const 1))";
/// Body of `check-messages` that lets one message pass.
pub(crate) const PASS: &str = "(i32.store8 (i32.const 256) (i32.const 1)) (call $answer (i32.const 1))";

/// Puts this body behind a trap that comes at every call but the first in the life of the broker.
pub(crate) fn once(body: &str) -> String {
    format!(
        r#"(call $get (i32.const 1024) (i32.const 5) (i32.const 600))
        (if (i32.load8_u (i32.const 600)) (then (unreachable)))
        (call $put (i32.const 1024) (i32.const 5) (i32.const 1024) (i32.const 5) (i32.const 640))
        {body}"#
    )
}

/// The bodies of a component's functions, and what it wants. Memory below 256 is zero, and "guest" is at 1024; `$answer` takes a
/// length and answers with a list at 256, `$get` and `$put` are those of the store, `$log` that of telemetry. Bodies may use the
/// local `$left`.
#[derive(Clone, Copy)]
pub(crate) struct AuthGuest<'a> {
    pub(crate) wants: &'a [u32],
    pub(crate) configure: &'a str,
    pub(crate) snapshot: &'a str,
    /// Parameter `$asked`: the time at 0, the credentials at 8.
    pub(crate) authenticate: &'a str,
    pub(crate) authorize: &'a str,
    pub(crate) reads: &'a str,
    pub(crate) check_messages: &'a str,
}

impl Default for AuthGuest<'_> {
    fn default() -> Self {
        AuthGuest {
            wants: &[LOGINS, RIGHTS, MESSAGES],
            configure: "(i32.const 64)",
            snapshot: "(i32.const 64)",
            authenticate: ADMIT,
            authorize: ALLOW,
            reads: "(i32.const 64)",
            check_messages: PASS,
        }
    }
}

impl AuthGuest<'_> {
    pub(crate) fn component(&self) -> Vec<u8> {
        let AuthGuest { wants, configure, snapshot, authenticate, authorize, reads, check_messages } = self;
        let bytes = |numbers: &mut dyn Iterator<Item = u32>| -> String {
            numbers.flat_map(u32::to_le_bytes).map(|byte| format!("\\{byte:02x}")).collect()
        };
        // requirements: columns, properties, max-rows, state-version, restores.
        let requirements = bytes(&mut [2112, wants.len() as u32].into_iter());
        let columns = bytes(&mut wants.iter().copied());
        let text = format!(
            r#"(module
            (import "jackfield:policy/telemetry@0.1.0" "log" (func $log (param i32 i32 i32)))
            (import "jackfield:policy/state-store@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
            (import "jackfield:policy/state-store@0.1.0" "get" (func $get (param i32 i32 i32)))
            (memory (export "memory") 2)
            (global $free (mut i32) (i32.const 8192))
            (func $answer (param $length i32) (result i32)
                (i32.store (i32.const 128) (i32.const 256))
                (i32.store (i32.const 132) (local.get $length))
                (global.set $free (i32.const 8192))
                (i32.const 128))
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (global.get $free)
                (global.set $free (i32.and (i32.add (global.get $free) (i32.add (local.get $size) (i32.const 15)))
                    (i32.const -8))))
            (func (export "jackfield:policy/lifecycle@0.1.0#describe") (result i32) (i32.const 2048))
            (func (export "jackfield:policy/lifecycle@0.1.0#configure") (param i32 i32) (result i32) {configure})
            (func (export "jackfield:policy/lifecycle@0.1.0#snapshot") (param i32) (result i32) {snapshot})
            (func (export "jackfield:policy/lifecycle@0.1.0#restore") (param i32 i32 i32) (result i32) (i32.const 64))
            (func (export "jackfield:policy/auth@0.1.0#authenticate") (param $asked i32) (result i32)
                (local $left i32) (global.set $free (i32.const 8192)) {authenticate})
            (func (export "jackfield:policy/auth@0.1.0#authorize")
                (param i64 i32 i32 i32 i32 i32 i32) (result i32) (local $left i32) {authorize})
            (func (export "jackfield:policy/auth@0.1.0#reads") (result i32) {reads})
            (func (export "jackfield:policy/auth@0.1.0#check-messages")
                (param i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (local $left i32)
                {check_messages})
            (data (i32.const 1024) "guest")
            (data (i32.const 2048) "{requirements}")
            (data (i32.const 2112) "{columns}"))"#
        );
        let mut module = wat::parse_str(&text).expect("the text of the test is a module");
        let mut resolve = Resolve::default();
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit");
        let (package, _) = resolve.push_dir(wit).expect("the WIT package is well formed");
        let world = resolve.select_world(&[package], Some("auth-policy")).expect("the world is there");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("the module takes it");
        ComponentEncoder::default()
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .expect("the module fits the world")
    }
}
