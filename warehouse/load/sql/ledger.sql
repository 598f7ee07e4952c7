-- All plans of the ledger, in the place of those that were loaded. `$plans` is their JSON.
delete from plans;

insert into plans by name
select unnest(from_json($plans, '[{
    "experiment": "varchar",
    "n": "bigint",
    "applied_at": "timestamp",
    "contrasts": [{"name": "varchar", "sha256": "varchar"}],
    "contrasts_sha256": "varchar",
    "cells": [{"cell_id": "varchar", "dataset": "varchar", "generate": "varchar", "judges": ["varchar"]}],
    "had_results": "boolean"
}]'), recursive := true);
