// A line of text to fill in.

import QtQuick 2.0

Rectangle {
    property alias text: input.text

    width: parent.width
    height: 26
    border.color: "#808080"

    TextInput {
        id: input
        anchors.fill: parent
        anchors.margins: 5
        clip: true
        selectByMouse: true
    }
}
