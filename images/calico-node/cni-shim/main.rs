// The CNI plugin that the runtime executes: it hands its environment and stdin to the agent on this
// node and prints the agent's answer. Installed as `calico` and as `calico-ipam`; it parses nothing but
// the version to answer in. Standard library only: `rustc main.rs` builds it.
//
// Call:   the plugin's type and each CNI_* variable, every one ended by a zero byte; a zero byte; stdin.
// Answer: one byte '0' or '1', the exit code, then the bytes for stdout.
use std::env;
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::exit;
use std::time::Duration;

const VERSION: &str = "0.1.0";
const SUPPORTED: &str = r#"["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]"#;
const PATIENCE: Duration = Duration::from_secs(90);
// Bound on a call, as the agent has it: configuration and environment are a few kilobytes.
const CALL_BYTES_MAX: usize = 1 << 20;
// CNI SPEC, section "Error": invalid network config; try again later; plugin not available (STATUS).
const INVALID_CONFIG: u8 = 7;
const TRY_AGAIN: u8 = 11;
const NOT_AVAILABLE: u8 = 50;

fn main() {
    if env::args_os().nth(1).map_or(false, |argument| argument == "-v") {
        print(format!("{}\n", VERSION).as_bytes());
        return;
    }
    let mut stdin = Vec::new();
    let mut input = io::stdin().lock();
    let _ = input.by_ref().take(CALL_BYTES_MAX as u64).read_to_end(&mut stdin);
    let _ = io::copy(&mut input, &mut io::sink()); // the runtime gets rid of the rest
    let command = env::var_os("CNI_COMMAND").unwrap_or_default();
    if command == "VERSION" {
        let version = version_in(&stdin);
        print(
            format!(
                "{{\"cniVersion\":\"{}\",\"supportedVersions\":{}}}\n",
                version, SUPPORTED
            )
            .as_bytes(),
        );
        return;
    }
    let message = message_of(&stdin);
    if message.len() > CALL_BYTES_MAX {
        fail(&stdin, INVALID_CONFIG, "the network configuration with the environment is larger than 1 MiB");
    }
    match call(&message) {
        Ok((code, answer)) => {
            print(&answer);
            exit(code);
        }
        Err(cause) => {
            let code = if command == "STATUS" {
                NOT_AVAILABLE
            } else {
                TRY_AGAIN
            };
            let why = format!("the calico-node agent does not answer ({}); check that its pod is running", cause);
            fail(&stdin, code, &why);
        }
    }
}

/// Prints the error and ends the process.
fn fail(stdin: &[u8], code: u8, why: &str) -> ! {
    let msg: String = why.chars().filter(|c| *c != '"' && *c != '\\' && !c.is_control()).collect();
    let version = version_in(stdin);
    print(format!("{{\"cniVersion\":\"{}\",\"code\":{},\"msg\":\"{}\"}}\n", version, code, msg).as_bytes());
    exit(1);
}

fn print(bytes: &[u8]) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// The call as the agent reads it.
fn message_of(stdin: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(stdin.len() + 1024);
    let program = env::args_os().next().unwrap_or_default();
    let plugin = Path::new(&program)
        .file_name()
        .unwrap_or_else(|| OsStr::new("calico"));
    message.extend_from_slice(plugin.as_bytes());
    message.push(0);
    for (name, value) in env::vars_os() {
        if name.as_bytes().starts_with(b"CNI_") {
            message.extend_from_slice(name.as_bytes());
            message.push(b'=');
            message.extend_from_slice(value.as_bytes());
            message.push(0);
        }
    }
    message.push(0);
    message.extend_from_slice(stdin);
    message
}

/// Hands the call over and waits for the whole answer.
fn call(message: &[u8]) -> io::Result<(i32, Vec<u8>)> {
    let path = env::var_os("CALICO_CNI_SOCKET").unwrap_or_else(|| "/var/run/calico/cni.sock".into());
    let mut agent = UnixStream::connect(path)?;
    agent.set_read_timeout(Some(PATIENCE))?;
    agent.set_write_timeout(Some(PATIENCE))?;
    // An agent that does not read everything may still have an answer.
    let sent = agent.write_all(message).and_then(|()| agent.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let read = agent.read_to_end(&mut answer);
    match answer.first() {
        Some(b'0') => Ok((0, answer.split_off(1))),
        Some(b'1') => Ok((1, answer.split_off(1))),
        _ => Err(sent.and(read).err().unwrap_or(io::Error::from(io::ErrorKind::UnexpectedEof))),
    }
}

/// The configuration's cniVersion, found by its text; a missing one means 0.2.0.
fn version_in(stdin: &[u8]) -> String {
    let text = String::from_utf8_lossy(stdin);
    let value = text
        .split("\"cniVersion\"")
        .nth(1)
        .and_then(|rest| rest.trim_start().strip_prefix(':'))
        .and_then(|rest| rest.trim_start().strip_prefix('"'))
        .and_then(|rest| rest.split('"').next());
    match value {
        Some(version) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
            version.to_string()
        }
        _ => "0.2.0".to_string(),
    }
}
