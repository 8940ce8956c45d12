// Compares two pictures by pixelmatch: in which square of so many pixels are most of them different, and how many?
// The answer has a picture of the differences, too.
(async (module, before, after, windowSize) => {
    const { default: pixelmatch } = await import(`data:text/javascript;base64,${module}`);
    const open = async data => createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob());
    const bitmaps = [await open(before), await open(after)];
    const sizes = bitmaps.map(({ width, height }) => [width, height]);
    // A pixel more or less is a matter of rounding.
    if (sizes[0][0] !== sizes[1][0] || Math.abs(sizes[0][1] - sizes[1][1]) > 1) return { sizes };
    const [width, height] = [sizes[0][0], Math.min(sizes[0][1], sizes[1][1])];
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const [one, two] = bitmaps.map(bitmap => {
        context.drawImage(bitmap, 0, 0);
        return context.getImageData(0, 0, width, height);
    });
    const picture = context.createImageData(width, height);
    const different = pixelmatch(one.data, two.data, picture.data, width, height, { windowSize });
    context.putImageData(picture, 0, 0);
    const blob = await canvas.convertToBlob();
    const reader = new FileReader();
    await new Promise(done => { reader.onload = done; reader.readAsDataURL(blob); });
    return { different, picture: reader.result.split(',')[1] };
})
