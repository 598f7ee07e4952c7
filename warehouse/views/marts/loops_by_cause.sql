-- One row per dataset, language, model, method, languages tuned on, loop judge and cause: the share of
-- answers that went wrong in that way, seeds averaged within an item, with Wilson's 95% interval over items.
-- Did the model repeat itself, did it never end (by EOS or a stop string), or both? Recorded answers do not
-- say how they ended: they have one row of their own and count in no other.
-- Where the contrast `stopped_by` decided how many items were asked, there is no interval and no test.
select *
from loop_causes
order by all
