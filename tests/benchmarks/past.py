"""A past for a big installation: events with their traces, more of the ledger, sales, tasks, proposals.

Made inside the database; every value follows from a number, so that two runs measure the same. What the screens show is
there in the amounts of a busy year, not what rules would have written one by one.
"""

from __future__ import annotations

import psycopg

_EVENTS = """
INSERT INTO event (source, delivery_id, type, state, lane, received_at, processed_at, content_type, body, body_sha256,
                   fields, company_id, contact_id, error)
SELECT 'generic', 'past-' || n, 'form_submitted',
       CASE WHEN n %% 500 = 0 THEN 'held' WHEN n %% 1777 = 0 THEN 'failed' ELSE 'processed' END,
       contact.company_id, now() - (%(events)s - n) * interval '1 minute',
       now() - (%(events)s - n) * interval '1 minute',
       'application/json', '{"form": "contact"}', sha256(n::text::bytea),
       jsonb_build_object('form', (ARRAY['contact', 'demo-request', 'whitepaper', 'newsletter'])[1 + n %% 4],
                          'email', contact.email, 'utm_campaign', 'campaign-' || n %% 20),
       contact.company_id, contact.id, CASE WHEN n %% 500 = 0 THEN 'email is missing' END
FROM generate_series(1, %(events)s) AS n JOIN contact ON contact.id = 1 + (n * 104729::bigint) %% %(contacts)s
"""

_RUNS = """
INSERT INTO run (event_id, rule, version, outcome, is_near_miss, clauses, changes, chain, company_id, contact_id,
                 duration_us, at)
SELECT event.id, rule, 1,
       (ARRAY['no_match', 'no_match', 'fired', 'limited'])[1 + (event.id + length(rule)) %% 4],
       (event.id + length(rule)) %% 8 = 1,
       '[{"path": "company.category", "holds": true, "value": "lead", "test": "is Lead"}]', '[]', '{}',
       event.company_id, event.contact_id, 90, event.received_at
FROM event, unnest(ARRAY['demo-request-to-mql', 'campaign-to-tag', 'free-mail-or-competitor-disqualified']) AS rule
"""

# Each third company has moved once, and a hundredth of the contacts changed their lead status lately.
_MOVES = """
INSERT INTO change (at, entity, entity_id, company_id, field, old, new, actor_kind, actor_id, actor_name, rule, action)
SELECT now() - (id %% 180) * interval '1 day', 'company', id, id, 'category', '"lead"', to_jsonb(category_key), 'rule',
       '1', 'demo-request-to-mql', 'demo-request-to-mql', 'past'
FROM company WHERE id %% 3 = 0 AND category_key IS NOT NULL
"""

_SALES = """
INSERT INTO sale (company_id, status, title, amount, created_at, updated_at)
SELECT id, (ARRAY['open', 'sold', 'lost'])[1 + id %% 3], 'Rollout', 1000 * (1 + id %% 80),
       now() - (id %% 300) * interval '1 day', now() - (id %% 300) * interval '1 day'
FROM company WHERE id %% 10 = 0
"""

_TASKS = """
INSERT INTO task (title, owner, due_at, done_at, company_id, contact_id, created_by, rule, action, created_at,
                  updated_at)
SELECT 'Call this lead', 'sales', now() + (id %% 60 - 30) * interval '1 day',
       CASE WHEN id %% 400 <> 0 THEN now() - (id %% 90) * interval '1 day' END, company_id, id, 'rule',
       'demo-request-to-mql', 'past', now() - (id %% 90) * interval '1 day', now() - (id %% 90) * interval '1 day'
FROM contact WHERE id %% 20 = 0
"""

_PROPOSALS = """
INSERT INTO proposal (rule, version, run_id, company_id, changes, state, created_at)
SELECT 'qualified-contact-to-opportunity', 1, -id, id,
       jsonb_build_array(jsonb_build_object('entity', 'company', 'entity_id', id, 'field', 'category',
                                            'old', category_key, 'new', 'opportunity')),
       CASE WHEN id %% 5 = 0 THEN 'open' ELSE 'accepted' END, now() - (id %% 90) * interval '1 day'
FROM company WHERE category_key = 'mql' AND id %% 7 = 0
"""

EVENTS_PER_CONTACT = 0.4


def fill_past(address: str, contacts: int) -> None:
    """Give an installation that `million.fill` has filled its past."""
    parameters = {"contacts": contacts, "events": int(contacts * EVENTS_PER_CONTACT)}
    with psycopg.connect(address) as connection:
        connection.execute("SELECT set_config('leadflow.actor', 'person', true)")
        connection.execute("SET LOCAL synchronous_commit = off; SET LOCAL maintenance_work_mem = '256MB'")
        for statement in (_EVENTS, _RUNS, _MOVES, _SALES, _TASKS, _PROPOSALS):
            connection.execute(statement, parameters)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")
