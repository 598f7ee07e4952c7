-- One row per contrast that may stop the asking, dataset, language and model: the items of each side that
-- were asked, of those that there are, and the requests and tokens that the others would have taken, as those
-- asked did on average. An answer and the verdict of a model on it are a request each; tokens are null where
-- none were counted. Nothing is saved where the contrast was not settled before its last item.
select
    experiment,
    stopped_by as contrast,
    stopping_rule,
    dataset,
    language,
    model,
    max(n_items) as n_items,
    max(n_asked) as n_asked,
    round(sum(n_requests * (n_items - n_asked) / n_asked))::bigint as n_requests_saved,
    round(sum(n_tokens * (n_items - n_asked) / n_asked))::bigint as n_tokens_saved
from stopped_items
group by all
order by all
