// What axe finds in the page: for each violation its rule, the element, and what is wrong.
(async () => {
    // These two are off unless they are asked for.
    const rules = { 'target-size': { enabled: true }, 'focus-order-semantics': { enabled: true } };
    const { violations } = await axe.run(document, { resultTypes: ['violations'], rules });
    return violations.flatMap(({ id, nodes }) =>
        nodes.map(({ target, html, failureSummary }) => `${id}: ${target} ${html.slice(0, 120)}: ${failureSummary}`));
})()
