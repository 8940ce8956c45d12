// Prepares for the tabulator key: notes what gets the focus, and whether it shows. Returns how often to press it.
(() => {
    const all = document.querySelectorAll('a[href], button, summary, input:not([type=hidden])');
    const controls = [...all].filter(element => element.checkVisibility());
    const shown = element => {
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const { left, right, top, bottom } = element.getBoundingClientRect();
        const isInside = left >= 0 && right <= innerWidth && top < innerHeight && bottom > 0;
        return outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 && isInside;
    };
    const focused = [];
    document.addEventListener('focusin', ({ target }) => focused.push({ target, isShown: shown(target) }));
    const start = document.createElement('span');
    start.tabIndex = -1;
    document.body.prepend(start);
    start.focus();
    // Without the element to start from.
    focused.length = 0;
    window.focusProblems = () => {
        const name = element => element?.outerHTML.slice(0, 120);
        start.remove();
        document.activeElement.blur();
        return controls.flatMap((control, index) => {
            const got = focused[index];
            if (got?.target !== control) return [`the focus is on ${name(got?.target)}, and not on ${name(control)}`];
            return got.isShown ? [] : [`the focus does not show on ${name(control)}`];
        });
    };
    return controls.length;
})()
