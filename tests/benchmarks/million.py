"""A big installation, made inside the database: contacts by the million, at a fifth as many companies.

Every value follows from the id, so that two runs measure the same. `first_touch_term` parts the contacts (and likewise
the companies) into cohorts of two per cent: each measurement takes one that no other has touched.
"""

from __future__ import annotations

import psycopg

COHORTS = 50
CONTACTS, COMPANIES = 1_000_000, 200_000

_COMPANIES = """
INSERT INTO company (name, name_norm, domain, category_key, owner, owner_norm, tags, tags_norm, fields, fields_norm,
                     first_touch_term, first_touch_term_norm, created_at, updated_at)
SELECT 'Firma ' || n, 'firma ' || n, 'firma' || n || '.example',
       (ARRAY['lead', 'lead', 'lead', 'lead', 'mql', 'mql', 'opportunity', 'lost-opportunity', 'customer', 'partner'])
           [1 + n / 50 %% 10],
       CASE WHEN n %% 3 = 0 THEN 'Anna' END, CASE WHEN n %% 3 = 0 THEN 'anna' END,
       CASE WHEN n %% 4 = 0 THEN ARRAY['nordic'] ELSE '{}' END, CASE WHEN n %% 4 = 0 THEN ARRAY['nordic'] ELSE '{}' END,
       jsonb_build_object('employees', (n %% 500)::text, 'industry', 'retail'),
       jsonb_build_object('employees', (n %% 500)::text, 'industry', 'retail'),
       'cohort-' || n %% %(cohorts)s, 'cohort-' || n %% %(cohorts)s,
       now() - n %% 700 * interval '1 day', now() - n %% 100 * interval '1 day'
FROM generate_series(1, %(companies)s) AS n
"""

_CONTACTS = """
INSERT INTO contact (email, email_host, first_name, first_name_norm, last_name, last_name_norm, name_norm, company_id,
                     lead_status_key, tags, tags_norm, fields, fields_norm, first_touch_term, first_touch_term_norm,
                     last_touched_at, created_at, updated_at)
SELECT 'person' || n || '@firma' || company.id || '.example', 'firma' || company.id || '.example',
       'Kim', 'kim', 'Nr ' || n, 'nr ' || n, 'kim nr ' || n, company.id,
       CASE WHEN category_key NOT IN ('customer', 'partner') THEN
           (ARRAY['re-nurture', 're-nurture', 're-nurture', 're-nurture', 're-nurture', 're-nurture', 'open',
                  'contacting', 'qualified', 'disqualified'])[1 + n / 50 %% 10] END,
       CASE WHEN n / 50 %% 7 < 3 THEN ARRAY['newsletter'] ELSE '{}' END,
       CASE WHEN n / 50 %% 7 < 3 THEN ARRAY['newsletter'] ELSE '{}' END,
       jsonb_build_object('job_title', 'Manager'), jsonb_build_object('job_title', 'manager'),
       'cohort-' || n %% %(cohorts)s, 'cohort-' || n %% %(cohorts)s,
       now() - n / 50 %% 300 * interval '1 day', now() - n / 50 %% 700 * interval '1 day',
       now() - n / 50 %% 100 * interval '1 day'
FROM generate_series(1, %(contacts)s) AS n JOIN company ON company.id = 1 + (n * 7919::bigint) %% %(companies)s
"""

# One row of the ledger for each lead status, so that its age can be asked for.
_LEDGER = """
INSERT INTO change (at, entity, entity_id, company_id, contact_id, field, new, actor_kind, actor_name, action)
SELECT now() - (id %% 200 + 1) * interval '1 day', 'contact', id, company_id, id, 'lead_status',
       to_jsonb(lead_status_key), 'import', 'benchmark', ''
FROM contact WHERE lead_status_key IS NOT NULL
"""


def fill(address: str, contacts: int = CONTACTS, companies: int = COMPANIES) -> None:
    """Fill an installation that has no records yet; its ledger has only what rules about lead statuses ask for."""
    parameters = {"contacts": contacts, "companies": companies, "cohorts": COHORTS}
    with psycopg.connect(address) as connection:
        # Existing customers are made by a person, as the guard wants it.
        connection.execute("SELECT set_config('leadflow.actor', 'person', true)")
        connection.execute("SET LOCAL synchronous_commit = off; SET LOCAL maintenance_work_mem = '256MB'")
        for statement in (_COMPANIES, _CONTACTS, _LEDGER):
            connection.execute(statement, parameters)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE, FREEZE) company")
        connection.execute("VACUUM (ANALYZE, FREEZE) contact")
        connection.execute("VACUUM (ANALYZE, FREEZE) change")
