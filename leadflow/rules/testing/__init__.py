"""Tests of rules: what is given, what happens, what is expected; run in memory, with coverage and mutants.

They stand inside a rule under `tests:`, or beside the rules in `NAME.test.yaml`, where each says its `rule:`. What is
not said is left to its default: there is a company without values, a contact of it, and the event is what the first
line of the rule's `when` listens to. The status of the rule plays no part: a test shows what the rule does when live.

    leadflow: 1
    tests:
      - test: a customer is never downgraded
        rule: demo-request-to-mql                       # only in NAME.test.yaml
        now: 2026-03-01T09:00:00+01:00                  # else Thursday 2026-01-15 10:00 in the time zone of the rule
        given:
          company: {category: Customer, tags: [key account], fields: {employees: 20}, open_sales: 1}   # or: none
          contact: {lead_status: Open, email: anna@nordwind.example, last_touched_at: 91 days ago}     # or: none
          colleagues: [{lead_status: Contacting}]       # further contacts of the company
          history:                                      # in any order; `at: 2026-01-01` instead of `ago` is fine
            - {ago: 10 days, form_submitted: {form_type: content}}
            - {ago: 9 days, form_submitted: {form_type: content}, by: colleague}    # or company: nobody known
            - {ago: 91 days, event: {name: webinar_attended}}
            - {ago: 91 days, sale: lost}
            - {ago: 91 days, changed: {contact.lead_status: {from: Open, to: Re-nurture}}}
            - {ago: 3 days, fired: true}                # the rule acted then, as its limit counts
          turn: 2                                       # how many the rule's round robin has given away
        event: {form_submitted: {form: demo-request, country: NO}}
        expect:
          fires: false
          because: company.category                     # a false clause, or words of the reason given by guard or limit
          company: {category: Customer}
          contact: {lead_status: Open, tags: {has: vip}}
          tasks: none                                   # or their titles, all of them
          messages: [sales]                             # channels and endpoints, all of them

`event` is one of `form_submitted`, `event`, `sale: sold` (or `{step: sold, amount: 1000}`), `record_created: contact`,
`record_changed: {contact.lead_status: {from: Open, to: Qualified}}` (without `from` it changes from what is given),
`schedule: due`, `manual: contact` (or `{record: contact, name: Anna, role: admin}`); beside it `import: true` or
`by_rule: another-rule` where that matters.

Values are read by the kind of their field: keys, names and short names, `blank`, and for times also `91 days ago` and
`in 3 days`. A value that is expected may be a test as in a rule: `{has: vip}`, `{is_not: Open}`. Lists compare as sets.

`outcome` is one of fired, no_match, limited, blocked_by_guard, waiting, error; `fires` is true for fired and waiting.

A rule with `wait` is tested step by step; `after` counts from the event:

      - test: the reminder is not sent to whoever answered
        rule: remind
        expect: {outcome: waiting}
        later:
          - after: 3 days
            meanwhile: {contact: {lead_status: Contacting}}
            expect: {fires: false, because: contact.lead_status, tasks: none}

A table has a row for each case; a column is a field of what is given or of the event, `now`, a word of `expect`, or
`expect.` with a field for what is there afterwards:

      - table: who becomes a marketing qualified lead
        rule: demo-request-to-mql
        columns: [company.category, fires, expect.company.category]
        rows:
          - [blank,    true,  MQL]
          - [Customer, false, Customer]
"""
