(function (button) {
  if (button.stop) { button.stop(); return; }
  var context = new (window.AudioContext || window.webkitAudioContext)();
  var start = context.currentTime + 0.1, label = button.textContent, end = 0;
  JSON.parse(button.dataset.notes).forEach(function (note) {
    var tone = context.createOscillator(), level = context.createGain();
    var from = start + note[0], to = start + note[1], peak = 0.25 * Math.pow(note[3] / 127, 1.5);
    tone.type = 'triangle';
    tone.frequency.value = 440 * Math.pow(2, (note[2] - 69) / 12);
    level.gain.setValueAtTime(0, from);
    level.gain.linearRampToValueAtTime(peak, from + 0.01);
    level.gain.setTargetAtTime(peak / 3, from + 0.01, 0.4);
    level.gain.setTargetAtTime(0, to, 0.03);
    tone.connect(level).connect(context.destination);
    tone.start(from);
    tone.stop(to + 0.3);
    end = Math.max(end, note[1]);
  });
  var timer = setTimeout(function () { button.stop(); }, 1000 * (end + 0.6));
  button.stop = function () {
    clearTimeout(timer);
    context.close();
    button.textContent = label;
    button.stop = null;
  };
  button.textContent = 'Stop';
})(this)
