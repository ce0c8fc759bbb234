//! A renewed certificate: checked here, durable before it is shown. One at a time.

use hatch::messages::ToGate;
use protocol::frames::{Answer, Stop};
use protocol::{Bytes, Time};

use super::effect::Effect;
use super::event::{Line, Stamp};
use super::{Core, session};
use crate::leaf::{self, LeafFault, Wanted};

/// A certificate that is being made durable, and for whom.
#[derive(Debug)]
pub(super) struct Renewing {
    line: Line,
    leaf: Bytes,
    not_after: Time,
}

impl Core {
    /// It proves itself, whoever brings it: a desk, or a console that holds the CA.
    pub(super) fn certificate(
        &mut self,
        line: Line,
        der: Bytes,
        now: Stamp,
        out: &mut Vec<Effect>,
    ) {
        if self.renewing.is_some() {
            return session::stop(line, Stop::Rate, out);
        }
        let checked = match &self.trusted {
            None => Err(LeafFault::Issuer),
            Some(trusted) => leaf::check(
                &der.0,
                &Wanted {
                    cas: &trusted.policy.file().cas.endpoints,
                    organisation: trusted.policy.organisation(),
                    endpoint: self.id.card.endpoint,
                    tls_key: self.id.card.tls_key,
                    denied: &trusted.policy.denied_serials(),
                    now: self.trusted_time(now),
                    after: self.id.certificate_ends,
                },
            ),
        };
        match checked {
            Err(fault) => refuse(line, fault.code(), &fault.to_string(), out),
            Ok(not_after) => {
                out.push(Effect::StoreCertificate(der.clone()));
                self.renewing = Some(Renewing { line, leaf: der, not_after });
            }
        }
    }

    pub(super) fn certificate_stored(&mut self, ok: bool, out: &mut Vec<Effect>) {
        let Some(Renewing { line, leaf, not_after }) = self.renewing.take() else { return };
        if !ok {
            return refuse(line, "store", "the endpoint could not keep the certificate", out);
        }
        self.id.certificate_ends = not_after;
        out.push(Effect::ToGate(ToGate::Certificate { certificates: vec![leaf] }));
        session::answer(line, &Answer::CertificateTaken { not_after }, out);
        session::finish(line, out);
    }
}

fn refuse(line: Line, code: &str, sentence: &str, out: &mut Vec<Effect>) {
    let (code, sentence) = (code.to_owned(), sentence.to_owned());
    session::answer(line, &Answer::CertificateRefused { code, sentence }, out);
    session::finish(line, out);
}
