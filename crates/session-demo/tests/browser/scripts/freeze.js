// Makes the page the same at every time and on every machine: a font of its own, and fixed times and ids.
(async fonts => {
    const bytes = data => Uint8Array.from(atob(data), char => char.charCodeAt(0));
    for (const [weight, data] of Object.entries(fonts)) {
        document.fonts.add(await new FontFace('Frozen', bytes(data), { weight }).load());
    }
    const style = document.createElement('style');
    style.textContent = '* { font-family: Frozen !important; caret-color: transparent !important; }';
    document.head.append(style);
    document.activeElement?.blur();
    const set = (selector, text) => document.querySelectorAll(selector).forEach(element => { element.textContent = text; });
    set('time', '5 minutes ago');
    set('span.utc', '(2026-11-23 07:14:20 UTC)');
    set('svg .utc', '2026-11-23 07:14');
    set('code.id', 'A'.repeat(22));
})
