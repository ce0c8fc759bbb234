//! Contacts on file, masked.

use desk::identity::Contacts;
use protocol::Time;

use super::{Table, ago, safe};

/// All of them.
#[must_use]
pub fn list(rows: &[Contacts], now: Time) -> String {
    if rows.is_empty() {
        return "No contact is on file.   salve contacts set PERSON --mail ADDRESS".to_owned();
    }
    let mut table = Table::new(["PERSON", "CONTACT", "SET", "BY"]);
    for Contacts { person, contact } in rows {
        let new = if contact.is_young(now) { "  NEW" } else { "" };
        table.row([
            &safe(person),
            &format!("{} {}", contact.kind.word(), safe(&contact.masked)),
            &format!("{}{new}", ago(contact.set_at, now)),
            contact.set_by.as_str(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use desk::identity::Masked;
    use protocol::documents::ContactKind;

    use super::*;

    #[test]
    fn contacts_read_like_this() {
        let now = Time(1_795_344_127);
        let row = |person: &str, days: u64| Contacts {
            person: person.to_owned(),
            contact: Masked {
                kind: ContactKind::Mail,
                masked: "j…@example.com".to_owned(),
                set_by: "m.ruiz".parse().unwrap(),
                set_at: now.minus(days * 86_400),
            },
        };
        assert_eq!(
            list(&[row("jo.meyer", 2), row("kim\u{1b}", 90)], now),
            "\
PERSON     CONTACT              SET           BY
jo.meyer   mail j…@example.com  2 d ago  NEW  m.ruiz
kim\\u{1b}  mail j…@example.com  90 d ago      m.ruiz
"
        );
        assert!(list(&[], now).contains("salve contacts set"));
    }
}
